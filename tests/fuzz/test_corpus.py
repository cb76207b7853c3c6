"""What fuzzing has found, and what it begins with, breaks nothing (any more)."""

from __future__ import annotations

import unittest
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
MAX_CORPUS_BYTES = 200_000


class CorpusTests(unittest.TestCase):
    def test_no_input_of_the_corpus_breaks_its_target(self) -> None:
        for name, target in TARGETS.items():
            files = sorted((CORPUS / name).iterdir())
            self.assertTrue(files, name)
            for file in files:
                with self.subTest(file=f"{name}/{file.name}"):
                    target(file.read_bytes())

    def test_the_corpus_is_small(self) -> None:
        self.assertLess(sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()), MAX_CORPUS_BYTES)

    @given(st.sampled_from(sorted(TARGETS)), st.binary(max_size=300))
    def test_no_bytes_break_a_target(self, name: str, data: bytes) -> None:
        TARGETS[name](data)

    @given(st.sampled_from(sorted(TARGETS)), st.data())
    def test_no_change_to_the_corpus_breaks_a_target(self, name: str, data: st.DataObject) -> None:
        content = bytearray(data.draw(st.sampled_from(sorted((CORPUS / name).iterdir()))).read_bytes())
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, len(content)))
            content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        TARGETS[name](bytes(content))
