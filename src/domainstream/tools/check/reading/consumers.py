"""Reads which function handles which event of a queue, and upcasters."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from domainstream.tools.check.model.domain import Event, Upcasters
from domainstream.tools.check.model.flow import Consumer, Handler
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Module, Symbols, last_part

_CLASS = "EventConsumer"
_CHAIN = "UpcasterChain"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def read_consumers(files: Iterable[Source], symbols: Symbols, events: Mapping[str, Event]) -> Iterator[Consumer]:
    """Yield each consumer; handlers of one that is made elsewhere come as a consumer of their own, without a queue."""
    candidates = (source for source in files if _CLASS.encode() in source.text or b".on(" in source.text)
    for module in symbols.modules(candidates):
        yield from _consumers(module, symbols, events)


def joined(consumers: Iterable[Consumer]) -> tuple[Consumer, ...]:
    """Give handlers that stand in another file to the consumer that they name; without one they stay as they are."""
    found = list(consumers)
    made = {consumer.symbol for consumer in found if consumer.made}
    guests = [consumer for consumer in found if not consumer.made and consumer.symbol in made]
    return tuple(_with_guests(consumer, guests) for consumer in found if consumer not in guests)


def _with_guests(host: Consumer, guests: Iterable[Consumer]) -> Consumer:
    own = [guest for guest in guests if guest.symbol == host.symbol]
    handlers = tuple(handler for guest in own for handler in guest.handlers)
    complete = host.complete and all(guest.complete for guest in own)
    return replace(host, handlers=host.handlers + handlers, complete=complete)


def _consumers(module: Module, symbols: Symbols, events: Mapping[str, Event]) -> Iterator[Consumer]:
    nodes = [node for statement in module.body for node in ast.walk(statement)]
    handlers: dict[str, list[Handler | None]] = {}
    owners: dict[str, ast.expr] = {}
    for call, owner, name in _registrations(nodes):
        handlers.setdefault(ast.unparse(owner), []).append(_handler(call, name, module, symbols, events))
        owners.setdefault(ast.unparse(owner), owner)
    source = module.source
    for call, target in _constructions(nodes, module, symbols):
        own = handlers.pop(target, [])
        known, complete = _understood(own)
        complete = complete and bool(target) and not _lets_jobs_pass(call)
        queue = _queue(call, module, symbols)
        yield Consumer(module.symbol(target), source.service, queue, known, complete, source.location(call), made=True)
    for name, own in handlers.items():
        known, complete = _understood(own)
        # Something else may have a method `on`.
        if known:
            symbol = symbols.of(owners[name], module) or ""
            yield Consumer(symbol, source.service, None, known, complete, known[0].location, made=False)


def _understood(handlers: list[Handler | None]) -> tuple[tuple[Handler, ...], bool]:
    known = tuple(handler for handler in handlers if handler is not None)
    return known, len(known) == len(handlers)


def _constructions(nodes: list[ast.AST], module: Module, symbols: Symbols) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call of `EventConsumer` and the name it is assigned to; empty when it is not."""
    targets = {id(value): name for value, name in _assigned(nodes)}
    for node in nodes:
        if isinstance(node, ast.Call) and last_part(f".{symbols.of(node.func, module)}") == _CLASS:
            yield node, targets.get(id(node), "")


def _assigned(nodes: list[ast.AST]) -> Iterator[tuple[ast.expr, str]]:
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            yield node.value, ast.unparse(node.targets[0])
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield node.value, ast.unparse(node.target)


def _registrations(nodes: list[ast.AST]) -> Iterator[tuple[ast.Call, ast.expr, str]]:
    """Yield each call of `.on`, what it is called on, and the name of the function that it decorates."""
    names = {id(one): node.name for node in nodes if isinstance(node, Function) for one in node.decorator_list}
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "on":
            yield node, node.func.value, names.get(id(node), "")


def _handler(
    call: ast.Call, name: str, module: Module, symbols: Symbols, events: Mapping[str, Event]
) -> Handler | None:
    classes = tuple(symbols.of(argument, module) or "" for argument in call.args)
    job = next((keyword.value for keyword in call.keywords if keyword.arg == "job"), None)
    job_name = symbols.text_of(job, module)
    if not all(symbol in events for symbol in classes) or (job is not None and job_name is None):
        return None
    return Handler(classes, job_name, name, module.source.location(call))


def _lets_jobs_pass(call: ast.Call) -> bool:
    """Tell whether jobs without a handler may be meant: `unhandled="skip"`, or something that is not plain."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg in {"unhandled", None}), None)
    return given is not None and not (isinstance(given, ast.Constant) and given.value == "fail")


def _queue(call: ast.Call, module: Module, symbols: Symbols) -> str | None:
    return symbols.text_of(_argument(call, 0, "queue"), module)


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    if len(call.args) > position:
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def read_upcasters(files: Iterable[Source], symbols: Symbols) -> Iterator[Upcasters]:
    """Yield each chain of upcasters."""
    for source in files:
        module = symbols.module(source) if f"{_CHAIN}(".encode() in source.text else None
        for node in (one for statement in module.body for one in ast.walk(statement)) if module else ():
            if isinstance(node, ast.Call) and module and last_part(f".{symbols.of(node.func, module)}") == _CHAIN:
                event = symbols.of(_argument(node, 0, "event_class"), module)
                if event is not None:
                    yield Upcasters(event, _versions(node), module.source.location(node))


def _versions(call: ast.Call) -> tuple[int, ...] | None:
    steps = _argument(call, 1, "steps")
    keys = [key.value for key in steps.keys if isinstance(key, ast.Constant)] if isinstance(steps, ast.Dict) else []
    known = tuple(key for key in keys if isinstance(key, int))
    return known if isinstance(steps, ast.Dict) and len(known) == len(steps.keys) else None
