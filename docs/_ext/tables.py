"""Directives that draw their tables from the code, so that no page can disagree with it.

``csms-settings``, ``csms-exchanges``, ``csms-queues``, ``csms-actions``, ``csms-actions-16``, ``csms-metrics``,
``csms-quirks``, ``csms-operations`` and ``csms-faults`` take no arguments.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from csms.api.operations import Operation, by_tag
from csms.api.resources.registry import OPERATIONS
from csms.config.settings import Settings, WebhookSettings
from csms.domain import topology
from csms.domain.actions import ACTIONS
from csms.domain.command_effects import RESULTS
from csms.domain.stored import FROM_CHARGER, TO_CHARGER
from csms.metrics import REGISTRY
from csms.ocpp.quirks import Profile, shipped

FAULT_RESULTS = Path(__file__).parents[1] / "reliability.json"


class TableDirective(SphinxDirective):
    """A directive whose content is generated reStructuredText."""

    def text(self) -> Iterable[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self.text()), allow_section_headings=True)


def table(widths: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Lines of a ``list-table``."""
    yield from (".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", "")
    for row in (header, *rows):
        for number, cell in enumerate(row):
            yield f"   {'*' if number == 0 else ' '} - {cell}"
    yield ""


class SettingsTables(TableDirective):
    """Every setting, a table for each section of tap.conf."""

    def text(self) -> Iterable[str]:
        for section in fields(Settings):
            if section.name == "webhooks":
                yield from self.section("webhook <name>", WebhookSettings())
            else:
                yield from self.section(section.name, getattr(Settings(), section.name))

    def section(self, name: str, defaults: Any) -> Iterable[str]:
        title = f"[{name}]"
        yield from (title, "-" * len(title), "")
        rows = []
        for field in fields(defaults):
            if "help" not in field.metadata:
                continue
            value = str(getattr(defaults, field.name))
            key = f"``{field.name}``" + (f", ``{field.name}_file``" if field.metadata["secret"] else "")
            rows.append((key, f"``{value}``" if value else "(empty)", field.metadata["help"].replace("|", "\\|")))
        yield from table("26 22 52", ("setting", "default", "meaning"), rows)


class Exchanges(TableDirective):
    """The exchanges of the topology with what is bound to them."""

    def text(self) -> Iterable[str]:
        declared = topology.topology(2)
        rows = []
        for exchange in declared.exchanges:
            bindings = [
                f"``{one.target}`` by ``{one.routing_key or dict(one.arguments) or 'everything'}``"
                for one in declared.bindings
                if one.source == exchange.name
            ]
            rows.append((f"``{exchange.name}``", exchange.kind, "; ".join(bindings) or "private queues of gateways"))
        yield from table("25 12 63", ("exchange", "type", "bound (with two shards)"), rows)


class Queues(TableDirective):
    """The queues of the topology with their arguments."""

    def text(self) -> Iterable[str]:
        rows = [
            (f"``{queue.name}``", ", ".join(f"``{name} = {value}``" for name, value in queue.arguments.items()))
            for queue in topology.topology(2).queues
        ]
        yield from table("25 75", ("queue (with two shards)", "arguments"), rows)


class ActionsTable(TableDirective):
    """Who answers each action of each version, and what happens then."""

    def text(self) -> Iterable[str]:
        rows = []
        for (version, name), action in sorted(ACTIONS.items()):
            rows.append((version, name, action.answered_by.value, effect_of(action.handler)))
        yield from table("9 30 21 40", ("version", "action", "answered by", "effect"), rows)


class Actions16Table(TableDirective):
    """All actions of 1.6, both ways: who asks, who answers, what comes of it, and where it is stored."""

    def text(self) -> Iterable[str]:
        rows = []
        for name, tables in FROM_CHARGER.items():
            action = ACTIONS["1.6", name]
            rows.append((name, "charger", action.answered_by.value, effect_of(action.handler), names(tables)))
        for name, tables in TO_CHARGER.items():
            rows.append((name, "csms", "charger", effect_of(RESULTS["1.6", name]), names(tables)))
        yield from table("26 9 13 32 20", ("action", "asked by", "answered by", "effect", "stored in"), sorted(rows))


def effect_of(function: Callable[..., Any] | None) -> str:
    """The first line of the docstring of a handler."""
    effect = inspect.getdoc(function) if function else "Kept in the message log."
    return re.sub(r":\w+:(`[^`]+`)", r"`\1`", (effect or "").splitlines()[0])


def names(tables: Sequence[str]) -> str:
    """Names of database tables."""
    return ", ".join(f"``{name}``" for name in tables) or "\u2013"


class Metrics(TableDirective):
    """Every metric with its labels."""

    def text(self) -> Iterable[str]:
        rows = []
        for collector, names in REGISTRY._collector_to_names.items():
            labels = ", ".join(f"``{label}``" for label in getattr(collector, "_labelnames", ()))
            name = getattr(collector, "_name", names[0])
            suffix = "_total" if getattr(collector, "_type", "") == "counter" else ""
            rows.append((f"``{name}{suffix}``", labels or "(none)", getattr(collector, "_documentation", "")))
        yield from table("34 20 46", ("metric", "labels", "meaning"), sorted(rows))


class Quirks(TableDirective):
    """Every profile of odd chargers that comes with csms."""

    def text(self) -> Iterable[str]:
        rows = [
            (
                profile.name,
                ", ".join(
                    f"{name} ``{pattern}``"
                    for name, pattern in (
                        ("vendor", profile.vendor),
                        ("model", profile.model),
                        ("firmware", profile.firmware),
                    )
                    if pattern not in ("", "*")
                )
                or ("all" if profile.vendor else "vendor empty"),
                ", ".join(profile.versions) or "all",
                self.tolerated(profile),
                profile.about,
            )
            for profile in shipped()
        ]
        yield from table("20 16 8 30 26", ("profile", "chargers", "versions", "what is tolerated", "why"), rows)

    def tolerated(self, profile: Profile) -> str:
        kinds = [f"``{kind}``" for kind in sorted(profile.tolerate)]
        filled = [f"missing ``{name}`` is ``{json.dumps(value)}``" for name, value in profile.fill.items()]
        spelled = [
            f"{member} ``{word}`` is ``{meant}``"
            for member, words in profile.spelling.items()
            for word, meant in words.items()
        ]
        return "; ".join([", ".join(kinds)] * bool(kinds) + filled + spelled)


class Operations(TableDirective):
    """Every operation of /api/v1, a table for each kind of resource."""

    def text(self) -> Iterable[str]:
        for tag, rows in by_tag(OPERATIONS).items():
            yield from (f"**{tag}**", "")
            cells = [
                (f"``{row.method} {row.template}{_names(row)}``", f"{row.summary}", row.role.value) for row in rows
            ]
            yield from table("50 38 12", ("operation", "what it does", "least role"), cells)


def _names(row: Operation) -> str:
    """The names of the parameters, as a query string has them."""
    names = [field.encode_name for field in msgspec.structs.fields(row.query)]
    return "?" + "&".join(f"{name}=" for name in names) if names else ""


class Faults(TableDirective):
    """What came of every fault of the fault bench, as ``make faults`` has written it down."""

    def text(self) -> Iterable[str]:
        rows = [
            (
                f"**{name}**: {one['description']}{_figures(one['figures'])}",
                f"{one['chargers']} chargers, {one['messages_per_s']:.0f}/s",
                f"{one['lasted_s']:.1f} s",
                f"{one['recovered_s']:.1f} s",
                f"{one['slowest_answer_s']:.1f} s",
                *(str(one[kind]) for kind in ("messages", "retried", "lost", "doubled", "out_of_order")),
            )
            for name, one in json.loads(FAULT_RESULTS.read_text()).items()
        ]
        header = ("fault", "load", "lasted", "recovered in", "slowest answer")
        counts = ("messages", "retried", "lost", "doubled", "out of order")
        yield from table("36 10 7 8 8 8 7 5 6 5", (*header, *counts), rows)


def _figures(figures: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{name}: {value}' for name, value in figures.items())})" if figures else ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("csms-settings", SettingsTables)
    app.add_directive("csms-exchanges", Exchanges)
    app.add_directive("csms-queues", Queues)
    app.add_directive("csms-actions", ActionsTable)
    app.add_directive("csms-actions-16", Actions16Table)
    app.add_directive("csms-metrics", Metrics)
    app.add_directive("csms-operations", Operations)
    app.add_directive("csms-quirks", Quirks)
    app.add_directive("csms-faults", Faults)
    return {"parallel_read_safe": True}
