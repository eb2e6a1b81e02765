"""Reads who listens: subscriptions of channels, the handlers of each queue, and upcasters."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from domainstream.tools.check.model.domain import Event, Upcasters
from domainstream.tools.check.model.flow import Consumer, Handler, SubscribedChannel, Subscription, SubscriptionMap
from domainstream.tools.check.reading.literals import literal_of
from domainstream.tools.check.reading.orders import order_of
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Function, Module, Symbols, argument, assignments_of, last_part

_TABLE_CALL: Final = "create_multiple_handlers"
_CONSUMER: Final = "EventConsumer"
_CHAIN: Final = "UpcasterChain"
_ON: Final = re.compile(rb"\.on\b")
_Owner = tuple[int, str]
"""What handlers are registered on: the function that it is made in, or 0, and its name there."""


def read_subscriptions(source: Source, symbols: Symbols) -> Iterator[SubscriptionMap]:
    """Yield each call of `create_multiple_handlers`; one whose table is not plain has no entries."""
    if (module := symbols.module(source)) is None:
        return
    for call in symbols.calls_of(_TABLE_CALL, module):
        table, owner = call.args[0] if call.args else call, module
        if (found := _table_of(table, owner, symbols)) is not None:
            table, owner = found
        entries = [_entry(*item, symbols) for item in _items(table, owner, symbols, frozenset())]
        known = tuple(entry for entry in entries if entry is not None)
        where = owner.source
        yield SubscriptionMap(known, len(known) == len(entries), where.location(table), where.end(table))


def _items(
    table: ast.expr, module: Module, symbols: Symbols, seen: frozenset[str]
) -> Iterator[tuple[ast.expr | None, ast.expr, Module]]:
    """Yield key, value and file of each entry, in the order in which a later one replaces an earlier one.

    The entries of `**more` and of `table | more` are included; a part that is not plain has None for its key.
    """
    if isinstance(table, ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            if key is None:
                yield from _items(value, module, symbols, seen)
            else:
                yield key, value, module
    elif isinstance(table, ast.BinOp) and isinstance(table.op, ast.BitOr):
        yield from _items(table.left, module, symbols, seen)
        yield from _items(table.right, module, symbols, seen)
    elif (found := _table_of(table, module, symbols)) is not None and (symbol := symbols.of(table, module)) not in seen:
        yield from _items(*found, symbols, seen | {symbol or ""})
    else:
        yield None, table, module


def _table_of(name: ast.expr, module: Module, symbols: Symbols) -> tuple[ast.expr, Module] | None:
    """Return the table that has a name, and its file; None where that is not plain, as it may get entries later."""
    symbol = symbols.of(name, module) or ""
    found = symbols.value_of(symbol)
    return None if found is None or _is_added_to(last_part(symbol), found[0]) else (found[1], found[0])


def _is_added_to(name: str, module: Module) -> bool:
    """Return whether a table may get entries later: `table[...] = ...`, `table.update(...)`, `table |= ...`."""
    owners = (getattr(node, "target" if isinstance(node, ast.AugAssign) else "value", None) for node in module.nodes)
    return any(isinstance(owner, ast.Name) and owner.id == name for owner in owners)


def _entry(key: ast.expr | None, value: ast.expr, module: Module, symbols: Symbols) -> SubscribedChannel | None:
    symbol = symbols.of(key, module)
    if key is None or symbol is None or "." not in symbol:
        return None
    subscriptions = []
    for node in value.elts if isinstance(value, ast.List | ast.Tuple) else [value]:
        location = module.source.location(node)
        if isinstance(node, ast.Call) and symbols.name_of(node.func, module) == "to_queue":
            queue = symbols.text_of(argument(node, 0, "queue"), module)
            job = symbols.text_of(next((given.value for given in node.keywords if given.arg == "job"), None), module)
            partitions = _partitions_of(node, module, symbols)
            subscriptions.append(Subscription(queue, job, partitions, order_of(node, module, symbols), location))
        else:
            subscriptions.append(Subscription(None, None, None, None, location))
    enum, _, channel = symbol.rpartition(".")
    return SubscribedChannel(channel, enum, tuple(subscriptions), module.source.location(key))


def read_consumers(source: Source, symbols: Symbols, events: Mapping[str, Event]) -> Iterator[Consumer]:
    """Yield each consumer; handlers of one that is made elsewhere come as a consumer of their own, without a queue."""
    if _CONSUMER.encode() not in source.text and not _ON.search(source.text):
        return
    if (module := symbols.module(source)) is None:
        return
    nodes = module.nodes
    # With one consumer, its name alone says which handlers are its own.
    several = source.text.count(f"{_CONSUMER}(".encode()) > 1
    scopes = _scopes(nodes) if several else defaultdict[int, tuple[int, ...]](lambda: (0,))
    made = [
        # What is assigned to an attribute, such as self.consumer, has handlers in any function.
        (call, (0 if "." in target else scopes[id(call)][0], target))
        for call, target in _constructions(nodes, module, symbols)
    ]
    handlers: dict[_Owner, list[Handler | None]] = {}
    owners: dict[_Owner, ast.expr] = {}
    for owner, handler in _registrations(nodes, module, symbols, events):
        name = ast.unparse(owner)
        keys = [(scope, name) for scope in scopes[id(owner)]]
        key = next((key for key in keys if any(key == other for _, other in made)), keys[-1])
        handlers.setdefault(key, []).append(handler)
        owners.setdefault(key, owner)
    for call, key in made:
        target = key[1]
        known, complete = _understood(handlers.pop(key, []))
        unhandled = next((given.value for given in call.keywords if given.arg in {"unhandled", None}), None)
        # Jobs without a handler may be meant, unless they wait or fail.
        plain = ast.Constant("wait") if unhandled is None else unhandled
        waits = isinstance(plain, ast.Call) and ast.unparse(plain.func).rpartition(".")[2] == "Wait"
        fails = isinstance(plain, ast.Constant) and plain.value in {"wait", "fail"}
        complete = complete and bool(target) and (waits or fails)
        queue = symbols.text_of(argument(call, 0, "queue"), module)
        partitions = _partitions_of(call, module, symbols)
        where = source.location(call)
        yield Consumer(module.symbol(target), source.service, queue, partitions, known, complete, where, made=True)
    for key, own in handlers.items():
        known, complete = _understood(own)
        # Something else may have a method `on`.
        if known:
            symbol = symbols.of(owners[key], module) or ""
            yield Consumer(symbol, source.service, None, None, known, complete, known[0].location, made=False)


def _partitions_of(call: ast.Call, module: Module, symbols: Symbols) -> int | None:
    """Return what `partitions=` says, 1 without it; None where that is not a plain number."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg in {"partitions", None}), None)
    number = 1 if given is None else literal_of(given, module, symbols)
    return number if isinstance(number, int) else None


def joined(consumers: Iterable[Consumer]) -> tuple[Consumer, ...]:
    """Give handlers in another file to the consumer that they name; without one they stay as they are."""
    found = list(consumers)
    made = {consumer.symbol for consumer in found if consumer.made}
    guests: dict[str, list[Consumer]] = {}
    for consumer in found:
        if not consumer.made and consumer.symbol in made:
            guests.setdefault(consumer.symbol, []).append(consumer)
    hosts = (consumer for consumer in found if consumer.made or consumer.symbol not in made)
    return tuple(
        replace(
            host,
            handlers=host.handlers + tuple(handler for guest in own for handler in guest.handlers),
            complete=host.complete and all(guest.complete for guest in own),
        )
        if (own := guests.get(host.symbol, []))
        else host
        for host in hosts
    )


def _understood(handlers: list[Handler | None]) -> tuple[tuple[Handler, ...], bool]:
    known = tuple(handler for handler in handlers if handler is not None)
    return known, len(known) == len(handlers)


def _scopes(nodes: list[ast.AST]) -> dict[int, tuple[int, ...]]:
    """Return the functions that each node is in, from the innermost one to the file itself, which is 0."""
    scopes: dict[int, tuple[int, ...]] = dict.fromkeys(map(id, nodes), (0,))
    # The nodes come from outside to inside.
    for function in nodes:
        if isinstance(function, Function):
            for node in (inner for statement in function.body for inner in ast.walk(statement)):
                scopes[id(node)] = (id(function), *scopes[id(function)])
    return scopes


def _constructions(nodes: list[ast.AST], module: Module, symbols: Symbols) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call of `EventConsumer` and the name it is assigned to; empty when it is not."""
    targets: dict[int, str] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            targets[id(node.value)] = ast.unparse(node.targets[0])
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets[id(node.value)] = ast.unparse(node.target)
    for node in nodes:
        if isinstance(node, ast.Call) and symbols.name_of(node.func, module) == _CONSUMER:
            yield node, targets.get(id(node), "")


def _registrations(
    nodes: list[ast.AST], module: Module, symbols: Symbols, events: Mapping[str, Event]
) -> Iterator[tuple[ast.expr, Handler | None]]:
    """Yield what each `.on` is called on, and its handler; None when events or job are not plain."""
    names = {
        id(decorator): node.name for node in nodes if isinstance(node, Function) for decorator in node.decorator_list
    }
    # `on = consumer.on` gives the decorator a name.
    bound = {
        node.targets[0].id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Attribute)
    }
    for call in nodes:
        function = call.func if isinstance(call, ast.Call) else None
        function = bound.get(function.id) if isinstance(function, ast.Name) else function
        if isinstance(call, ast.Call) and isinstance(function, ast.Attribute) and function.attr == "on":
            classes = tuple(symbols.of(given, module) or "" for given in call.args)
            job = next((keyword.value for keyword in call.keywords if keyword.arg == "job"), None)
            job_name = symbols.text_of(job, module)
            plain = all(symbol in events for symbol in classes) and (job is None or job_name is not None)
            location = module.source.location(call)
            yield function.value, Handler(classes, job_name, names.get(id(call), ""), location) if plain else None


def read_upcasters(source: Source, symbols: Symbols) -> Iterator[Upcasters]:
    """Yield the upcasters of each event class, and each chain that is given to a consumer."""
    named = b"upcasters" in source.text or _CHAIN.encode() in source.text
    module = symbols.module(source) if named else None
    if module is None:
        return
    for class_name, node in module.classes.items():
        for name, value, statement in assignments_of(node.body):
            if name == "upcasters":
                yield Upcasters(module.symbol(class_name), _versions_of(value), source.location(statement))
    for call in symbols.calls_of(_CHAIN, module):
        event = symbols.of(argument(call, 0, "event_class"), module)
        if event is not None:
            yield Upcasters(event, _versions_of(argument(call, 1, "steps")), source.location(call))


def _versions_of(steps: ast.expr | None) -> tuple[int, ...] | None:
    """Return the versions from which steps lead on; None when that is not plain."""
    keys = steps.keys if isinstance(steps, ast.Dict) else [None]
    versions = [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, int)]
    return tuple(versions) if len(versions) == len(keys) else None
