"""Reads which fields are marked sensitive: by domainstream's `SENSITIVE`, or by the same keyword of JSON Schema."""

import ast
from typing import Final

from domainstream.event.sensitive import SENSITIVE_KEY
from domainstream.tools.check.reading.symbols import Module, Symbols

_MARKS: Final = frozenset(
    {"domainstream.SENSITIVE", "domainstream.event.SENSITIVE", "domainstream.event.sensitive.SENSITIVE"}
)
_KEYWORDS: Final = frozenset({"extra_json_schema", "json_schema_extra"})
"""How msgspec and pydantic call what is added to a field's schema."""


def is_sensitive(node: ast.expr, module: Module, symbols: Symbols) -> bool:
    """Return whether a piece of metadata, or what it names, marks a field as sensitive."""
    if isinstance(node, ast.Call):
        return any(keyword.arg in _KEYWORDS and _has_mark(keyword.value) for keyword in node.keywords)
    symbol = symbols.of(node, module) if isinstance(node, ast.Name | ast.Attribute) else None
    if symbol is None or symbol in _MARKS:
        return symbol is not None
    named = symbols.value_of(symbol)
    return named is not None and isinstance(named[1], ast.Call) and is_sensitive(named[1], named[0], symbols)


def _has_mark(node: ast.expr) -> bool:
    if not isinstance(node, ast.Dict):
        return False
    return any(
        isinstance(key, ast.Constant) and key.value == SENSITIVE_KEY and isinstance(value, ast.Constant) and value.value
        for key, value in zip(node.keys, node.values, strict=True)
    )
