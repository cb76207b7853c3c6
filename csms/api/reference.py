"""The page for people about /api/v1, made from its operations when csms starts. No scripts, nothing inline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from csms.api import pages
from csms.api.openapi import document
from csms.api.operations import Operation, by_tag

PAGE_PATH = "/api/docs"
STYLE_PATH = "/api/docs.css"
DOCUMENT_PATH = "/api/v1/openapi.json"

STYLE = """\
:root {
  color-scheme: light dark; --text: #1c2024; --soft: #60646c; --back: #f4f5f7; --card: #fff; --line: #dcdee3;
  --accent: #0b7a5f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #edeef0; --soft: #b0b4ba; --back: #111315; --card: #1b1e21; --line: #33373d; --accent: #2fb593;
  }
}
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--back); }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { margin: 0 0 .5rem; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.15rem; }
h3 { margin: 1rem 0 .25rem; font-size: .95rem; }
p { color: var(--soft); margin: .25rem 0 .75rem; }
a { color: var(--accent); }
nav a { margin-right: 1rem; white-space: nowrap; }
code, pre { font: .88em/1.5 ui-monospace, monospace; }
details { margin: .5rem 0; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
summary {
  display: grid; grid-template-columns: 4.5em minmax(0, 1fr); gap: 0 1rem; align-items: baseline;
  padding: .6rem 1rem; cursor: pointer;
}
summary:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 10px; }
summary code { overflow-wrap: anywhere; }
summary code:first-child { font-weight: 700; color: var(--accent); }
summary code:only-child { grid-column: 1 / -1; }
summary span { grid-column: 2; color: var(--soft); }
.more { padding: 0 1rem 1rem; border-top: 1px solid var(--line); overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
td { padding: .25rem 1rem .25rem 0; overflow-wrap: break-word; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child td { border-top: 0; }
@media (max-width: 32rem) { summary { grid-template-columns: minmax(0, 1fr); } summary span { grid-column: 1; } }
td:last-child { color: var(--soft); }
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>HTTP interface - csms</title>
<link rel="icon" href="{icon}" type="image/svg+xml">
<link rel="stylesheet" href="{style}">
</head>
<body><main>
<p><a href="/">csms</a></p>
<h1>HTTP interface</h1>
<p>{about} The same for programs: <a href="{document}">OpenAPI document</a>.</p>
<nav>{contents}</nav>
{sections}
<section id="types"><h2>types</h2>
{types}
</section>
</main></body>
</html>
"""


def page(operations: Iterable[Operation]) -> bytes:
    """The whole page."""
    rows = list(operations)
    told = document(rows)
    groups = by_tag(rows)
    contents = "\n".join(f'<a href="#{_anchor(tag)}">{escape(tag)}</a>' for tag in (*groups, "types"))
    sections = "\n".join(_section(tag, group, told) for tag, group in groups.items())
    types = "\n".join(_type(name, schema) for name, schema in sorted(told["components"]["schemas"].items()))
    text = _PAGE.format(
        icon=pages.ICON_PATH,
        style=STYLE_PATH,
        document=DOCUMENT_PATH,
        about=escape(told["info"]["description"].replace("`", "")),
        contents=contents,
        sections=sections,
        types=types,
    )
    return text.encode()


def _section(tag: str, rows: Iterable[Operation], told: Mapping[str, Any]) -> str:
    body = "\n".join(_operation(row, told["paths"][row.template][row.method.lower()]) for row in rows)
    return f'<section id="{_anchor(tag)}"><h2>{escape(tag)}</h2>\n{body}\n</section>'


def _anchor(tag: str) -> str:
    return escape(tag.replace(" ", "-"))


def _operation(row: Operation, told: Mapping[str, Any]) -> str:
    parts = [f"<p>Least role: {escape(row.role)}.</p>"]
    if told["parameters"]:
        parts.append(
            "<h3>parameters</h3>"
            + _table(
                (one["name"], one["in"], _kind(one["schema"]), one.get("description", "")) for one in told["parameters"]
            )
        )
    if "requestBody" in told:
        parts.append("<h3>body</h3>" + _table(_media(told["requestBody"])))
    answers = [(status, *_content(answer), answer["description"]) for status, answer in told["responses"].items()]
    parts.append("<h3>answers</h3>" + _table(answers))
    return (
        f'<details id="{escape(row.name)}"><summary><code>{escape(row.method)}</code>'
        f"<code>{escape(row.template)}</code><span>{escape(row.summary)}</span></summary>\n"
        f'<div class="more">{"".join(parts)}</div></details>'
    )


def _type(name: str, schema: Mapping[str, Any]) -> str:
    members = [
        (member, _kind(one), one.get("description", "") if isinstance(one, dict) else "")
        for member, one in schema.get("properties", {}).items()
    ]
    if not members:
        members = [("", _kind(schema), "")]
    about = escape(schema.get("description", "").replace("``", ""))
    return (
        f'<details id="type-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f'<div class="more"><p>{about}</p>{_table(members)}</div></details>'
    )


def _media(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(media, _kind(one["schema"])) for media, one in content["content"].items()]


def _content(answer: Mapping[str, Any]) -> tuple[str]:
    kinds = [_kind(one["schema"]) for one in answer.get("content", {}).values()]
    return (_Markup(", ".join(map(_cell, kinds))),)


def _kind(schema: Any) -> Any:
    """The type in a few words; a :class:`_Markup` where it leads to one on this page."""
    if not isinstance(schema, dict):
        return "any"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _Markup(f'<a href="#type-{escape(name)}">{escape(name)}</a>')
    if "anyOf" in schema:
        return _Markup(" or ".join(_cell(_kind(choice)) for choice in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    kind = schema.get("format") or schema.get("type", "any")
    if kind == "array":
        return _Markup(f"list of {_cell(_kind(schema.get('items', {})))}")
    limits = [
        f"{word} {schema[key]}"
        for word, key in (("from", "minimum"), ("to", "maximum"), ("at most", "maxLength"))
        if key in schema
    ]
    return " ".join([kind, *limits])


class _Markup(str):
    """HTML already."""

    __slots__ = ()


def _cell(value: str) -> str:
    return value if isinstance(value, _Markup) else escape(value)


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = ("".join(f"<td>{_cell(cell)}</td>" for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
