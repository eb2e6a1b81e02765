"""Reads the enums of channels."""

import ast
from collections.abc import Iterable, Iterator, Mapping

from domainstream.tools.check.model.domain import Channel, ChannelEnum
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Module, Symbols, assignments_of, last_part, members_of

_BASE = "EventPublisherChannel"


def read_channels(files: Iterable[Source], symbols: Symbols) -> Iterator[ChannelEnum]:
    """Yield each enum of channels: a class that derives from `EventPublisherChannel`."""
    for module in symbols.modules(files):
        for node in module.classes.values():
            if any(last_part(symbols.of(base, module)) == _BASE for base in node.bases):
                yield _enum(node, module, symbols)


def _enum(node: ast.ClassDef, module: Module, symbols: Symbols) -> ChannelEnum:
    source = module.source
    locations = {name: source.location(statement) for name, _, statement in assignments_of(node.body)}
    channels = tuple(Channel(name, value, locations[name]) for name, value in members_of(node))
    return ChannelEnum(module.symbol(node.name), channels, _services(node, module, symbols), source.location(node))


def _services(node: ast.ClassDef, module: Module, symbols: Symbols) -> Mapping[str, tuple[str, ...]] | None:
    given = next((keyword.value for keyword in node.keywords if keyword.arg == "services"), None)
    if isinstance(given, ast.Name | ast.Attribute):
        found = symbols.value_of(symbols.of(given, module) or "")
        given = found[1] if found else None
    return None if given is None else _plain_services(given)


def _plain_services(node: ast.expr) -> Mapping[str, tuple[str, ...]] | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        return None
    if not all(_are_texts(aggregates) for aggregates in value.values()):
        return None
    return {name: tuple(aggregates) for name, aggregates in value.items()}


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple | list | set | frozenset) and all(isinstance(each, str) for each in value)
