"""Reads the values that expressions have without running them: literals, constants, and members of enums."""

import ast
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from domainstream.tools.check.reading.symbols import Module, Symbols, assignments_of, last_part

UNCLEAR: Final = object()
"""What an expression is whose value only running it gives."""


def literal_of(node: ast.expr | None, module: Module, symbols: Symbols) -> Any:
    """Return the value of a literal, a constant, or an enum's member with a text; `UNCLEAR` for anything else."""
    if node is None:
        return UNCLEAR
    found = symbols.value_of(symbols.of(node, module) or "")
    try:
        value = ast.literal_eval(found[1] if found else node)
    except (ValueError, TypeError, MemoryError):
        value = symbols.text_of(node, module) or UNCLEAR
    # A text with half a surrogate pair could be neither compared with a message nor written.
    return UNCLEAR if isinstance(value, str) and not is_written_alike(value) else value


def plain_of(node: ast.expr, module: Module, symbols: Symbols) -> int | float | str:
    """Return the value of an expression if JSON has it, or else how it is spelled."""
    value = literal_of(node, module, symbols)
    return value if isinstance(value, int | float | str) and is_written_alike(value) else ast.unparse(node)


def is_written_alike(value: float | str) -> bool:
    """Return whether JSON has a value: not every number and not every text that Python has."""
    try:
        return bool(msgspec.json.decode(msgspec.json.encode(value)) == value)
    except (OverflowError, UnicodeEncodeError):
        return False


def values_of(node: ast.ClassDef, module: Module, symbols: Symbols) -> Iterator[int | str]:
    """Yield the values of an enum's members, those that `auto()` gives them included.

    A value that only running the code gives is its expression behind a "=".
    """
    bases = [symbols.name_of(base, module) for base in node.bases]
    own_values = any(isinstance(child, ast.FunctionDef) and "generate_next" in child.name for child in node.body)
    last = 0
    for name, value, _ in assignments_of(node.body):
        if name.startswith("_"):
            continue
        if not (isinstance(value, ast.Call) and last_part(symbols.of(value.func, module)) == "auto"):
            plain = literal_of(value, module, symbols)
            plain = plain if isinstance(plain, int | str) and is_written_alike(plain) else f"= {ast.unparse(value)}"
        elif own_values:
            plain = f"= auto() of {name}"
        elif "StrEnum" in bases:
            plain = name.lower()
        else:
            flag = any(base.endswith("Flag") for base in bases)
            plain = (1 << last.bit_length() if flag else last + 1) if last > 0 else 1
            last = plain
            plain = str(plain) if "str" in bases else plain
        if isinstance(plain, int):
            last = plain
        yield plain
