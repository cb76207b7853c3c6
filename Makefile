# make run, make test, make lint: nothing else has to be installed first but Python >= 3.11 (and Debian's packages for
# the tests, which `make test` fetches). Everything lands in .venv/, var/, console/node_modules/ and csms/console_dist/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
CONSOLE := csms/console_dist/index.html
CONSOLE_SOURCES := $(shell find console/src console/public console/*.html console/*.json console/*.ts -type f)
# How many test processes at once; each may start services of its own.
JOBS ?= 2
# Of make soak.
MINUTES ?= 30
CHARGERS ?= 300
RESTARTS ?= 0

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

.PHONY: run
run: $(VENV)/.csms $(CONSOLE) ## csms and simulated chargers on this machine, until Ctrl-C
	@tools/run

.PHONY: test
test: $(VENV)/.test $(CONSOLE) ## all tests, with real RabbitMQ, PostgreSQL and browser
	@tools/install_servers
	$(BIN)/python -m pytest -n $(JOBS) --dist=loadfile

.PHONY: faults
faults: $(VENV)/.test $(CONSOLE) ## every fault under load; results into docs/ (FAULTS="name ...": only these)
	@tools/install_servers
	$(BIN)/python -m tests.faults $(FAULTS)

.PHONY: lint
lint: $(VENV)/.lint console/node_modules/.package-lock.json ## style, types, layers, console, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	tools/npm run check
	if [ -f docs/conf.py ]; then $(BIN)/sphinx-build -q -W docs docs/_build/html; fi

.PHONY: console
console: $(CONSOLE) ## build the operator's web console

.PHONY: docs
docs: $(VENV)/.lint ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build -q -W docs docs/_build/html

.PHONY: screenshot
screenshot: $(VENV)/.test $(CONSOLE) ## take the picture of the README anew
	@tools/install_servers
	$(BIN)/python tools/screenshot.py

# Figures go to var/bench.json, where `python bench/tables.py` reads them. BASELINE: the directory of the plain Node
# server that docs/benchmarks.rst describes, to be measured beside.
BENCH := --figures var/bench.json $(if $(BASELINE),--baseline $(BASELINE))

.PHONY: bench
bench: $(VENV)/.test ## measure the most important, in a few minutes
	@tools/install_servers
	$(BIN)/python bench/mixed.py --chargers 100 $(BENCH)
	$(BIN)/python bench/latency.py $(BENCH)
	$(BIN)/python bench/gateway.py --loads meter $(BENCH)
	$(BIN)/python bench/worker.py $(BENCH)

.PHONY: bench-full
bench-full: $(VENV)/.test ## measure everything, and write the tables of the documentation
	@tools/install_servers
	for name in mixed gateway worker latency idle browsers scale embedded; do $(BIN)/python bench/$$name.py $(BENCH); done
	$(BIN)/python bench/big_tables.py --fill-seconds 3600 $(BENCH)
	$(BIN)/python bench/tables.py

.PHONY: soak
soak: $(VENV)/.test ## csms under steady load for MINUTES (30), restarting a process every RESTARTS minutes (0: never)
	@tools/install_servers
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --chargers $(CHARGERS) --restarts $(RESTARTS)

# How long each target of `make fuzz` is fuzzed, and how many examples its properties get.
SECONDS_EACH ?= 60

.PHONY: fuzz
fuzz: $(VENV)/.fuzz ## bad input for whatever reads it; SECONDS_EACH=60 for each target
	CSMS_HYPOTHESIS=many $(BIN)/python -m pytest -q tests/ocpp tests/fuzz tests/domain/test_hostile_payloads.py
	@for target in $$($(BIN)/python -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS)'); do \
	echo "--- $$target"; $(BIN)/python -m tests.fuzz $$target $(SECONDS_EACH) 2>&1 | tail -25; done

.PHONY: clean
clean: ## remove what was built; var/ with its database stays
	rm -rf $(VENV) console/node_modules csms/console_dist docs/_build build dist *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache twisted/plugins/dropin.cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	python=$$(tools/find_python) && "$$python" -m venv $(VENV)

$(VENV)/.csms: $(VENV)/bin/python setup.cfg pyproject.toml
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.csms
	$(PIP) --editable .[test]
	@touch $@

$(VENV)/.fuzz: $(VENV)/.test
	$(PIP) --editable .[test,fuzz]
	@touch $@

$(VENV)/.lint: $(VENV)/.csms
	$(PIP) --editable .[test,lint,docs]
	@touch $@

console/node_modules/.package-lock.json: console/package-lock.json $(VENV)/bin/python
	tools/npm ci --no-audit --no-fund
	@touch $@

$(CONSOLE): console/node_modules/.package-lock.json $(CONSOLE_SOURCES)
	tools/npm run build
	@touch $@
