"""Coverage-guided fuzzing of whatever reads what strangers send.

- ``targets``: functions that take bytes and raise only when csms breaks its word.
- ``__main__``: runs one of them under Atheris: ``python -m tests.fuzz TARGET SECONDS``; ``make fuzz`` runs all.
- ``corpus/TARGET/``: what to begin with, and every input that once broke something; ``test_corpus`` runs all of it.
"""
