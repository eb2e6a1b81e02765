"""Reads event classes and the unions of them."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard

from domainstream.tools.check.model.domain import Event, EventUnion
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Module, Symbols, assignments_of, last_part

_BASE = "BaseEvent"
_DOMAIN_LAYER = "domain_layer"
_WORDS = (b"BaseEvent", b"event_type")


def read_events(files: Iterable[Source], symbols: Symbols) -> Iterator[Event]:
    """Yield each event class of the services; a class that others derive from is a base, no event."""
    candidates = (source for source in files if source.service and any(word in source.text for word in _WORDS))
    found: dict[str, tuple[Module, ast.ClassDef]] = {
        module.symbol(node.name): (module, node)
        for module in symbols.modules(candidates)
        for node in module.classes.values()
    }
    bases = {name: _bases(node, module, symbols) for name, (module, node) in found.items()}
    derived = _derived(bases)
    parents = {base for name in derived for base in bases[name]}
    for name, (module, node) in found.items():
        if name in derived and name not in parents and not _is_open(module, node, symbols):
            yield _event(module, node, symbols)


def _bases(node: ast.ClassDef, module: Module, symbols: Symbols) -> list[str]:
    plain = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return [symbol for base in plain if (symbol := symbols.of(base, module))]


def _derived(bases: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the classes that derive from `BaseEvent`, by way of others too."""
    derived: set[str] = set()
    left = dict(bases)
    while True:
        new = {name for name, own in left.items() if any(last_part(one) == _BASE or one in derived for one in own)}
        if not new:
            return derived
        derived |= new
        left = {name: own for name, own in left.items() if name not in new}


def _is_open(module: Module, node: ast.ClassDef, symbols: Symbols) -> bool:
    """Tell whether a class leaves its payload open: `class ServiceEvent(BaseEvent[PayloadT])`."""
    values = [symbols.value_of(symbols.of(base.slice, module) or "") for base in node.bases if _has_argument(base)]
    calls = [value.func for value in (found[1] for found in values if found) if isinstance(value, ast.Call)]
    return bool(getattr(node, "type_params", None)) or any("TypeVar" in ast.unparse(call) for call in calls)


def _has_argument(base: ast.expr) -> TypeGuard[ast.Subscript]:
    return isinstance(base, ast.Subscript)


def _event(module: Module, node: ast.ClassDef, symbols: Symbols) -> Event:
    source = module.source
    own = {name: value for name, value, _ in assignments_of(node.body)}
    version = own.get("version")
    return Event(
        symbol=module.symbol(node.name),
        service=source.service,
        aggregate=_aggregate(source),
        event_type=symbols.text_of(own.get("event_type"), module),
        has_type="event_type" in own,
        version=1 if version is None else _number(version),
        final=any(last_part(f".{symbols.of(one, module)}") == "final" for one in node.decorator_list),
        payload=_payload(node, module, symbols),
        location=source.location(node),
    )


def _aggregate(source: Source) -> str | None:
    inside = source.inside
    return inside[1] if len(inside) > 1 and inside[0] == _DOMAIN_LAYER else None


def _number(node: ast.expr) -> int | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


def _payload(node: ast.ClassDef, module: Module, symbols: Symbols) -> str | None:
    arguments = [base.slice for base in node.bases if isinstance(base, ast.Subscript)]
    return symbols.of(arguments[0], module) if arguments else None


def read_unions(files: Iterable[Source], symbols: Symbols, events: Mapping[str, Event]) -> Iterator[EventUnion]:
    """Yield each name of a domain layer that stands for events: `CodingDomainEvent = StayCreated | StayClosed`."""
    domain = (source for source in files if source.service and source.inside[:1] == (_DOMAIN_LAYER,))
    for module in symbols.modules(filter(_may_have_union, domain)):
        for name, value, statement in assignments_of(module.body):
            members = union_members(value, module, symbols)
            known = tuple(dict.fromkeys(member for member in members if member in events))
            if known:
                complete = all(member in events for member in members)
                source = module.source
                yield EventUnion(module.symbol(name), source.service, known, complete, source.location(statement))


def _may_have_union(source: Source) -> bool:
    text = source.text
    return b"TypeAlias" in text or b"Union[" in text or b"\ntype " in text or b"DomainEvent" in text


def union_members(node: ast.expr | None, module: Module, symbols: Symbols) -> list[str]:
    """Return the symbols that a union is made of, unions within it undone; an unclear member is an empty symbol."""
    members: list[str] = []
    left: list[tuple[ast.expr | None, Module]] = [(node, module)]
    seen: set[str] = set()
    while left:
        one, where = left.pop()
        parts = _parts(one, where, symbols)
        if parts is not None:
            left += [(part, where) for part in reversed(parts)]
            continue
        symbol = symbols.of(one, where) or ""
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
        return [parsed] if (parsed := _quoted(node.value)) is not None else None
    if not isinstance(node, ast.Subscript):
        return None
    name = last_part(f".{symbols.of(node.value, module)}")
    if name == "Union":
        return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [node.slice] if name in {"Annotated", "Optional"} and not isinstance(node.slice, ast.Tuple) else None


def _quoted(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
