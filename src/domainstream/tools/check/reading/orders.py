"""Reads from calls of `to_queue` in which order the jobs of a queue are handled."""

import ast
from dataclasses import replace
from typing import Final

from domainstream.tools.check.model.flow import Order
from domainstream.tools.check.reading.literals import literal_of
from domainstream.tools.check.reading.symbols import Module, Symbols, last_part

_UNREAD: Final = Order(by=None, on_failure=None, priority=None, keeps_failed=None)
_BY_DEFAULT: Final = Order(by=None, on_failure="hold", priority=1, keeps_failed=True)
"""What `to_queue` does with `order_by` alone."""


def order_of(call: ast.Call, module: Module, symbols: Symbols) -> Order | None:
    """Return the order that a call of `to_queue` asks for; None if it asks for none."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if None in given:  # **arguments
        return _UNREAD
    by, settings, on_failure = given.get("order_by"), given.get("settings"), given.get("on_failure")
    if by is None or _is_none(by, module, symbols):
        return None
    order = replace(_BY_DEFAULT, by=_function(by, module, symbols))
    if on_failure is not None:
        order = replace(order, on_failure=symbols.text_of(on_failure, module))
    if settings is None or _is_none(settings, module, symbols):
        return order
    priority, keeps_failed = _read_settings(settings, module, symbols)
    return replace(order, priority=priority, keeps_failed=keeps_failed)


def _is_none(node: ast.expr, module: Module, symbols: Symbols) -> bool:
    return literal_of(node, module, symbols) is None


def _function(node: ast.expr, module: Module, symbols: Symbols) -> str | None:
    """Return what identifies the function that returns the key; None where that is not plain."""
    if isinstance(node, ast.Lambda):
        # Two of them are two functions, also when they say the same.
        return f"the lambda in {module.source.path}:{node.lineno}"
    symbol = symbols.unaliased(node, module)
    if symbol is None:
        return None
    # It is imported from where it is defined, or from a package that exports it.
    if symbol.startswith("domainstream."):
        return last_part(symbol)
    assigned = symbols.value_of(symbol)
    return symbol if assigned is None or isinstance(assigned[1], ast.Lambda) else None


def _read_settings(node: ast.expr, module: Module, symbols: Symbols) -> tuple[int | None, bool | None]:
    """Return the priority of `JobSettings`, and whether failed jobs are kept; None for what is not plain."""
    if assigned := symbols.value_of(symbols.unaliased(node, module) or ""):
        module, node = assigned
    given = {keyword.arg: keyword.value for keyword in node.keywords} if isinstance(node, ast.Call) else {}
    if not isinstance(node, ast.Call) or symbols.name_of(node.func, module) != "JobSettings" or None in given:
        return None, None
    priority = literal_of(given["priority"], module, symbols) if "priority" in given else 0
    return priority if isinstance(priority, int) else None, _keeps(given.get("keep_failed"), module, symbols)


def _keeps(keep_failed: ast.expr | None, module: Module, symbols: Symbols) -> bool | None:
    """Return whether failed jobs are kept without end; None when that is not plain."""
    if keep_failed is None or _is_none(keep_failed, module, symbols):
        return True
    assigned = symbols.value_of(symbols.unaliased(keep_failed, module) or "")
    return False if isinstance(assigned[1] if assigned else keep_failed, ast.Call) else None
