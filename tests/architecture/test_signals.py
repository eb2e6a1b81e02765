"""Signals: the table lists what is emitted, and nothing is logged beside it."""

import ast
from collections.abc import Iterator

from support.source_code import Module, modules

from domainstream.telemetry import Signal

ALWAYS = {"exc"}
"""The traceback, which any signal may carry."""


def emitted() -> Iterator[tuple[Module, ast.Call]]:
    """Yield every call of `emit`."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "emit":
                yield module, node


def signals_in(call: ast.Call) -> set[str]:
    """Return the signals that the first argument of a call may be."""
    return {node.attr for node in ast.walk(call.args[0]) if isinstance(node, ast.Attribute)}


def test_every_call_names_the_fields_of_its_row() -> None:
    """Who reads the table knows the fields of each record."""
    differing = [
        f"{module}:{call.lineno} {name}"
        for module, call in emitted()
        for name in signals_in(call)
        if {keyword.arg for keyword in call.keywords} - ALWAYS != set(Signal[name].fields)
    ]

    assert differing == []


def test_every_row_is_emitted() -> None:
    """The table promises no signal that never comes."""
    known = {name for _, call in emitted() for name in signals_in(call)}

    assert {signal.name for signal in Signal} - known == set()


def test_nothing_is_logged_beside_the_table() -> None:
    """A record that the table does not list could be neither searched for nor relied on."""
    levels = {"debug", "info", "warning", "error", "exception", "critical", "log"}
    strays = [
        f"{module}:{node.lineno}"
        for module in modules()
        if not module.is_in("telemetry/emitting.py")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in levels
        and ast.unparse(node.func.value) in {"log", "logger", "logging"}
    ]

    assert strays == []
