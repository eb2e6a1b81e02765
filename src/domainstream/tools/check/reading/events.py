"""Reads enums of channels, and domain layers: event classes, unions of them, and imports that they must not have."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from domainstream.tools.check.model.domain import Channel, ChannelEnum, Event, EventUnion, LayerBreach
from domainstream.tools.check.reading.literals import literal_of
from domainstream.tools.check.reading.sources import Source, Sources
from domainstream.tools.check.reading.symbols import (
    Module,
    Symbols,
    absolute_name,
    assignments_of,
    last_part,
    members_of,
    parse_quoted,
)

_CHANNEL_BASE: Final = "EventPublisherChannel"
_EVENT_BASE: Final = "BaseEvent"
_EVENT_WORDS: Final = (b"BaseEvent", b"event_type")
_UNION_WORDS: Final = (b"TypeAlias", b"Union[", b"\ntype ", b"DomainEvent")
_CLIENTS: Final = frozenset({"aiosqlite", "asyncpg", "bullmq", "psycopg", "redis", "sqlalchemy", "valkey"})
_OURS: Final = frozenset(
    {"redis", "publisher", "outbox", "stream", "queue", "subscriber", "worker", "bootstrap", "testing", "tools", "cli"}
)
_OUR_NAMES: Final = frozenset({"RedisStreamPublisherClient", "EventProducer", "MemoryPublisher"})
_INFRASTRUCTURE_WORDS: Final = (
    b"infrastructure_layer",
    b"domainstream.",
    *sorted(map(str.encode, _CLIENTS | _OUR_NAMES)),
)


def read_channels(source: Source, symbols: Symbols) -> Iterator[ChannelEnum]:
    """Yield each enum of channels: a class that derives from `EventPublisherChannel`."""
    if (module := symbols.module(source)) is None:
        return
    for node in module.classes.values():
        if any(symbols.name_of(base, module) == _CHANNEL_BASE for base in node.bases):
            locations = {name: source.location(statement) for name, _, statement in assignments_of(node.body)}
            channels = tuple(Channel(name, value, locations[name]) for name, value in members_of(node))
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            services = _services(given.get("services"), module, symbols)
            partitions = {} if "partitions" not in given else _dict_of(given["partitions"], module, symbols)
            yield ChannelEnum(module.symbol(node.name), channels, services, partitions, source.location(node))


def _dict_of(given: ast.expr | None, module: Module, symbols: Symbols) -> dict[Any, Any] | None:
    """Return a dict, given as a literal or by the name of one; None for anything else."""
    value = literal_of(given, module, symbols)
    return value if isinstance(value, dict) else None


def _services(given: ast.expr | None, module: Module, symbols: Symbols) -> Mapping[str, tuple[str, ...]] | None:
    """Return what `services=` says, given as a literal or by the name of one; None for anything else."""
    services = _dict_of(given, module, symbols)
    if services is None:
        return None
    for name, aggregates in services.items():
        if not isinstance(name, str) or not isinstance(aggregates, tuple | list | set | frozenset):
            return None
        if not all(isinstance(aggregate, str) for aggregate in aggregates):
            return None
    return {name: tuple(aggregates) for name, aggregates in services.items()}


def read_events(files: Iterable[Source], symbols: Symbols) -> Iterator[Event]:
    """Yield each event class of the services; a class that others derive from is a base and not an event."""
    candidates = (source for source in files if source.service and any(word in source.text for word in _EVENT_WORDS))
    found: dict[str, tuple[Module, ast.ClassDef]] = {}
    bases: dict[str, list[str]] = {}
    for module in filter(None, map(symbols.module, candidates)):
        for node in module.classes.values():
            plain = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
            found[module.symbol(node.name)] = module, node
            bases[module.symbol(node.name)] = [symbol for base in plain if (symbol := symbols.unaliased(base, module))]
    derived = _derived(bases)
    parents = {base for name in derived for base in bases[name]}
    for name, (module, node) in found.items():
        if name in derived and name not in parents and (event := _event(module, node, symbols)) is not None:
            yield event


def _derived(bases: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the classes that derive from `BaseEvent`, directly or through others."""
    derived: set[str] = set()
    left = dict(bases)
    while True:
        new = {
            name for name, own in left.items() if any(last_part(base) == _EVENT_BASE or base in derived for base in own)
        }
        if not new:
            return derived
        derived |= new
        left = {name: own for name, own in left.items() if name not in new}


def _event(module: Module, node: ast.ClassDef, symbols: Symbols) -> Event | None:
    """Return an event; None for a base that leaves its payload open: `class ServiceEvent(BaseEvent[PayloadT])`."""
    arguments = [base.slice for base in node.bases if isinstance(base, ast.Subscript)]
    values = [symbols.value_of(symbols.of(argument, module) or "") for argument in arguments]
    calls = [found[1].func for found in values if found and isinstance(found[1], ast.Call)]
    if getattr(node, "type_params", None) or any("TypeVar" in ast.unparse(call) for call in calls):
        return None
    source = module.source
    own = {name: value for name, value, _ in assignments_of(node.body)}
    version = own.get("version", ast.Constant(1))
    plain_version = version.value if isinstance(version, ast.Constant) else None
    return Event(
        symbol=module.symbol(node.name),
        service=source.service,
        aggregate=source.inside[1] if source.in_domain_layer and len(source.inside) > 1 else None,
        event_type=symbols.text_of(own.get("event_type"), module),
        has_type="event_type" in own,
        version=plain_version if isinstance(plain_version, int) else None,
        final=any(symbols.name_of(decorator, module) == "final" for decorator in node.decorator_list),
        payload=symbols.of(arguments[0], module) if arguments else None,
        location=source.location(node),
    )


def read_unions(source: Source, symbols: Symbols, events: Mapping[str, Event]) -> Iterator[EventUnion]:
    """Yield each name of a domain layer for a union of events: `CodingDomainEvent = StayCreated | StayClosed`."""
    if not source.in_domain_layer or not any(word in source.text for word in _UNION_WORDS):
        return
    if (module := symbols.module(source)) is None:
        return
    for name, value, statement in assignments_of(module.body):
        members = union_members(value, module, symbols)
        known = tuple(dict.fromkeys(member for member in members if member in events))
        if known:
            complete = all(member in events for member in members)
            yield EventUnion(module.symbol(name), source.service, known, complete, source.location(statement))


def union_members(node: ast.expr | None, module: Module, symbols: Symbols) -> list[str]:
    """Return the symbols that a union is made of, unions within it undone; an unclear member is an empty symbol."""
    members: list[str] = []
    left: list[tuple[ast.expr | None, Module]] = [(node, module)]
    seen: set[str] = set()
    while left:
        part, where = left.pop()
        parts = _parts(part, where, symbols)
        if parts is not None:
            left += [(inner, where) for inner in reversed(parts)]
            continue
        symbol = symbols.of(part, where) or ""
        value = None if symbol in seen else symbols.value_of(symbol)
        seen.add(symbol)
        if value is not None:
            left.append((value[1], value[0]))
        else:
            members.append(symbol)
    return members


def _parts(node: ast.expr | None, module: Module, symbols: Symbols) -> list[ast.expr] | None:
    """Return what a union is made of; None for anything else."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [node.left, node.right]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [parsed] if (parsed := parse_quoted(node.value)) is not None else None
    if not isinstance(node, ast.Subscript):
        return None
    name = symbols.name_of(node.value, module)
    if name == "Union":
        return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [node.slice] if name in {"Annotated", "Optional"} and not isinstance(node.slice, ast.Tuple) else None


def read_breaches(source: Source, sources: Sources) -> Iterator[LayerBreach]:
    """Yield each import of infrastructure in a domain layer."""
    if not source.in_domain_layer or not any(word in source.text for word in _INFRASTRUCTURE_WORDS):
        return
    if (tree := sources.tree(source)) is None:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            origin = f"{absolute_name(node, source)}." if isinstance(node, ast.ImportFrom) else ""
            names = (f"{origin}{alias.name}" for alias in node.names)
            # One statement is one finding, however many names it imports.
            if (name := next(filter(_is_infrastructure, names), None)) is not None:
                yield LayerBreach(name, source.location(node))


def _is_infrastructure(name: str) -> bool:
    parts = name.split(".")
    if "infrastructure_layer" in parts or parts[0] in _CLIENTS:
        return True
    return parts[0] == "domainstream" and len(parts) > 1 and (parts[1] in _OURS or parts[1] in _OUR_NAMES)
