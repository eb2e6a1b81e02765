"""Reads who listens to which channel."""

import ast
from collections.abc import Iterable, Iterator

from domainstream.tools.check.model.flow import SubscribedChannel, Subscription, SubscriptionMap
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Module, Symbols, last_part

_CALL = "create_multiple_handlers"


def read_subscriptions(files: Iterable[Source], symbols: Symbols) -> Iterator[SubscriptionMap]:
    """Yield each call of `create_multiple_handlers`; one whose table is not plain has no entries."""
    for source in files:
        module = symbols.module(source) if _CALL.encode() in source.text else None
        for statement in module.body if module else ():
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and module and last_part(f".{symbols.of(node.func, module)}") == _CALL:
                    table = _table(node, module)
                    yield _unclear(node, source) if table is None else _map(table, module, symbols)


def _unclear(call: ast.Call, source: Source) -> SubscriptionMap:
    return SubscriptionMap((), complete=False, location=source.location(call), end=source.end(call))


def _table(call: ast.Call, module: Module) -> ast.Dict | None:
    given = call.args[0] if call.args else None
    if isinstance(given, ast.Name):
        given = None if _is_added_to(given.id, module) else module.values.get(given.id)
    return given if isinstance(given, ast.Dict) else None


def _is_added_to(name: str, module: Module) -> bool:
    """Tell whether a table may get entries once it is made: `table[...] = ...`, `table.update(...)`, `table |= ...`."""
    nodes = (node for statement in module.body for node in ast.walk(statement))
    owners = (getattr(node, "target" if isinstance(node, ast.AugAssign) else "value", None) for node in nodes)
    return any(isinstance(owner, ast.Name) and owner.id == name for owner in owners)


def _map(table: ast.Dict, module: Module, symbols: Symbols) -> SubscriptionMap:
    entries = [_entry(key, value, module, symbols) for key, value in zip(table.keys, table.values, strict=True)]
    known = tuple(entry for entry in entries if entry is not None)
    source = module.source
    return SubscriptionMap(known, len(known) == len(entries), source.location(table), source.end(table))


def _entry(key: ast.expr | None, value: ast.expr, module: Module, symbols: Symbols) -> SubscribedChannel | None:
    symbol = symbols.of(key, module)
    if key is None or symbol is None or "." not in symbol:
        return None
    enum, _, channel = symbol.rpartition(".")
    elements = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    subscriptions = tuple(_subscription(element, module, symbols) for element in elements)
    return SubscribedChannel(channel, enum, subscriptions, module.source.location(key))


def _subscription(node: ast.expr, module: Module, symbols: Symbols) -> Subscription:
    location = module.source.location(node)
    if not isinstance(node, ast.Call) or last_part(f".{symbols.of(node.func, module)}") != "to_queue":
        return Subscription(None, None, location)
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    queue = node.args[0] if node.args else named.get("queue")
    return Subscription(symbols.text_of(queue, module), symbols.text_of(named.get("job"), module), location)
