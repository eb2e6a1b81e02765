"""Adds an item to a list, tuple, set or dict literal."""

import libcst as cst

from domainstream.tools.scaffold.python_text import exploded
from domainstream.tools.scaffold.source import Source

Literal = cst.List | cst.Tuple | cst.Set | cst.Dict


def with_item(source: Source, node: Literal, item: str) -> Source:
    """Return the source with `item` at the end of `node`; comments stay where they are.

    A literal of several lines gets another line. A literal of one line stays on one line if it fits.
    """
    start, end = source.whole(node)
    if not source.slice(source.line_start(end - 1), end - 1).strip():
        return _with_line(source, node, end, item)
    items = [_text(source, element) for element in node.elements]
    opening, closing = source.slice(start, start + 1), source.slice(end - 1, end)
    line = f"{opening}{', '.join([*items, item])}{',' if isinstance(node, cst.Tuple) and not items else ''}{closing}"
    rest = source.slice(source.line_start(start), start), source.slice(end, source.line_end(end)).rstrip()
    if not isinstance(node, cst.Dict) and len(rest[0]) + len(line) + len(rest[1]) <= source.width:
        return source.replaced(start, end, line)
    return source.replaced(start, end, exploded(opening, [*items, item], closing, " " * source.indent(start)))


def _with_line(source: Source, node: Literal, end: int, item: str) -> Source:
    """Return the source with the item on its own line before the closing bracket."""
    if node.elements and isinstance(node.elements[-1].comma, cst.MaybeSentinel):
        last = source.end(node.elements[-1].value)
        source, end = source.inserted(last, ","), end + 1
    pad = " " * (source.indent(end - 1) + 4)
    return source.inserted(source.line_start(end - 1), "".join(f"{pad}{line}\n" for line in f"{item},".split("\n")))


def _text(source: Source, element: cst.BaseElement | cst.BaseDictElement) -> str:
    value = source.slice(*source.whole(element.value))
    if isinstance(element, cst.DictElement):
        return f"{source.text_of(element.key)}: {value}"
    stars = {cst.StarredElement: "*", cst.StarredDictElement: "**"}
    return f"{stars.get(type(element), '')}{value}"
