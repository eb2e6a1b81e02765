"""Adds a class to a service's union of events."""

from collections.abc import Iterator

import libcst as cst

from domainstream.tools.scaffold.python_text import union
from domainstream.tools.scaffold.source import Source

Alias = cst.AnnAssign | cst.Assign | cst.TypeAlias

EMPTY = "Never"
"""The union of a service without events."""


def with_class(source: Source, alias_name: str, class_name: str) -> Source:
    """Return the source with `class_name` in the union of a name; unchanged if the union has it."""
    alias = find_alias(source, alias_name)
    by_hand = f"add {class_name} to {alias_name}"
    if alias is None or alias.value is None:
        raise source.cannot_edit(f"there is no {alias_name} = A | B", by_hand)
    names = list(_names(source, alias.value))
    if class_name in names:
        return source
    if not all(names):
        raise source.cannot_edit(f"{alias_name} is not a union of classes", by_hand)
    start, end = source.whole(alias.value)
    if "#" in source.slice(start, end):
        return source.inserted(source.line_start(end), f"    | {class_name}\n")
    kept = [name for name in names if name != EMPTY]
    head = source.slice(source.start(alias), start).rstrip().removesuffix("=").rstrip()
    return source.replaced(source.start(alias), end, union(head, [*kept, class_name], source.width))


def find_alias(source: Source, name: str) -> Alias | None:
    """Return the statement that defines a union: `X: TypeAlias = ...`, `X = ...` or `type X = ...`."""
    for annotated in source.statements(cst.AnnAssign):
        if isinstance(annotated.target, cst.Name) and annotated.target.value == name:
            return annotated
    for plain in source.statements(cst.Assign):
        if isinstance(plain.targets[0].target, cst.Name) and plain.targets[0].target.value == name:
            return plain
    return next((alias for alias in source.statements(cst.TypeAlias) if alias.name.value == name), None)


def _names(source: Source, value: cst.BaseExpression) -> Iterator[str]:
    """Yield the classes of a union; an empty string for a member that is not a name."""
    if isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.BitOr):
        yield from _names(source, value.left)
        yield from _names(source, value.right)
    else:
        yield source.text_of(value) if isinstance(value, cst.Name) else ""
