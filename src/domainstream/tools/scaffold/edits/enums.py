"""Adds a member to an enum."""

from collections.abc import Iterator

import libcst as cst

from domainstream.tools.scaffold.python_text import statement
from domainstream.tools.scaffold.source import Source, small


def members(enum: cst.ClassDef) -> dict[str, str]:
    """Return the names and values of the members whose value is a string."""
    return {name: value.raw_value for name, value in _assignments(enum) if isinstance(value, cst.SimpleString)}


def with_member(source: Source, enum: cst.ClassDef, name: str, value: str) -> Source:
    """Return the source with `name = "value"` as the last member of a class; unchanged if the name exists."""
    if name in dict(_assignments(enum)):
        return source
    if not isinstance(enum.body, cst.IndentedBlock):
        raise source.cannot_edit(f"{enum.name.value} is written on one line", f'add {name} = "{value}" to it')
    last = enum.body.body[-1]
    line = statement(f"{name} =", f'"{value}"', source.indent(source.start(last)), source.width)
    gap = "\n" if enum.get_docstring() is not None and len(enum.body.body) == 1 else ""
    return source.inserted(source.line_end(source.end(last)), f"{gap}{line}\n")


def find_class(source: Source, name: str) -> cst.ClassDef | None:
    """Return the top-level class of a name."""
    return next((node for node in source.classes() if node.name.value == name), None)


def _assignments(enum: cst.ClassDef) -> Iterator[tuple[str, cst.BaseExpression]]:
    for line in enum.body.body:
        for node in small(line):
            if isinstance(node, cst.Assign) and isinstance(node.targets[0].target, cst.Name):
                yield node.targets[0].target.value, node.value
