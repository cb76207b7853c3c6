"""The page about threats names tests: all of them are there."""

from __future__ import annotations

import ast
import re
import unittest
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "threats.rst"
_NAMED = re.compile(r"``([\w/]+\.py)::(test_\w+)``")


class ThreatsTests(unittest.TestCase):
    def test_every_test_that_the_page_names_is_there(self) -> None:
        page = PAGE.read_text(encoding="utf-8")
        named = _NAMED.findall(page)
        self.assertGreater(len(named), 50)
        self.assertEqual(len(named), page.count("::test_"), "a name is not written as ``path::test_name``")
        for path, name in named:
            tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
            functions = {
                node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            self.assertIn(name, functions, path)
