"""Reads a whole system from its files, importing none of them."""

import warnings
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from domainstream.channel.channel_name import Services, parse_channel_name
from domainstream.tools.check.model.domain import Event, Shape
from domainstream.tools.check.model.project import Project, Service
from domainstream.tools.check.reading.carried import read_lost_fields, read_unwritable_types
from domainstream.tools.check.reading.events import read_breaches, read_channels, read_events, read_unions
from domainstream.tools.check.reading.mappers import Known, read_mappers
from domainstream.tools.check.reading.payloads import read_naive_calls, read_shapes
from domainstream.tools.check.reading.repeated import read_repeated_names, read_repeated_values
from domainstream.tools.check.reading.sources import TOO_DEEP, Source, Sources, read_ignores
from domainstream.tools.check.reading.subscriptions import joined, read_consumers, read_subscriptions, read_upcasters
from domainstream.tools.check.reading.symbols import Symbols
from domainstream.tools.check.settings import CheckSettings, read_settings
from domainstream.tools.check.snapshots import read_snapshots

FoundT = TypeVar("FoundT")


def read_project(root: Path, settings: CheckSettings | None = None) -> Project:
    """Return the system whose folder is `root`; `settings` are those of its `domainstream.toml` by default.

    Files that are not Python are listed in `unreadable`. Raises `ConfigurationError` for a `domainstream.toml` that
    cannot be used.
    """
    root = root.resolve()
    chosen = read_settings(root) if settings is None else settings
    with warnings.catch_warnings():
        # Python warns about the code it parses, such as an invalid escape in a string.
        warnings.simplefilter("ignore")
        return _read(root, chosen)


def _read(root: Path, settings: CheckSettings) -> Project:
    sources = Sources(root, settings)
    symbols = Symbols(sources)
    channel_files = sources.matching(settings.channels)
    subscription_files = sources.matching(settings.subscriptions)
    name_files = sources.matching((settings.queues, settings.jobs))
    everything = list(sources)

    def each(files: Iterable[Source], read: Callable[[Source], Iterable[FoundT]]) -> tuple[FoundT, ...]:
        return tuple(found for file in files for found in _read_one(sources, file, partial(read, file)))

    enums = each(channel_files, lambda file: read_channels(file, symbols))
    events = {event.symbol: event for event in _read_events(sources, everything, symbols)}
    readers = _readers_of(events.values(), _owners(root, settings, sources))
    # Of two classes of one event type, the later one is what a mapper means by that type.
    events = dict(sorted(events.items(), key=lambda item: item[0] not in readers))
    unions = each(everything, lambda file: read_unions(file, symbols, events))
    known = Known(symbols, {enum.symbol: enum for enum in enums}, events, unions)
    shapes = _read_shapes(events.values(), sources, symbols)
    snapshots = read_snapshots(root, settings.contracts)
    enum_words = {f"{enum.name}.".encode() for enum in enums}
    naming = {source.service for source in everything if any(word in source.text for word in enum_words)}
    return Project(
        root=root,
        settings=settings,
        services=tuple(_service(folder, root, naming) for folder in sources.service_folders),
        enums=enums,
        has_channels=any(b"EventPublisherChannel" in source.text for source in channel_files),
        events=tuple(event for event in events.values() if event.symbol not in readers),
        readers=tuple(event for event in events.values() if event.symbol in readers),
        unions=unions,
        mappers=each(everything, lambda file: read_mappers(file, known)),
        subscription_maps=each(subscription_files, lambda file: read_subscriptions(file, symbols)),
        consumers=joined(each(everything, lambda file: read_consumers(file, symbols, events))),
        upcasters=each(everything, lambda file: read_upcasters(file, symbols)),
        shapes=shapes,
        naive_calls=each(everything, lambda file: read_naive_calls(file, symbols, shapes)),
        uncarried=(
            *read_lost_fields(events.values(), symbols),
            *read_unwritable_types(shapes, symbols, sources),
        ),
        breaches=each(everything, lambda file: read_breaches(file, sources)),
        ignores=tuple(comment for file in everything for comment in read_ignores(file)),
        snapshots=snapshots.events,
        snapshot_files=snapshots.files,
        repeated=(
            *(found for source, tree in sources.parsed() for found in read_repeated_names(source, tree)),
            *each(name_files, lambda file: read_repeated_values(file, symbols)),
        ),
        unreadable=(*sources.unreadable.values(), *snapshots.unreadable),
    )


def _read_one(sources: Sources, source: Source, read: Callable[[], Iterable[FoundT]]) -> list[FoundT]:
    """Read one file; one that is nested too deeply is noted as unreadable, and the others are still read."""
    try:
        return list(read())
    except RecursionError:
        sources.give_up(source, *TOO_DEEP)
        return []


def _read_events(sources: Sources, files: list[Source], symbols: Symbols) -> list[Event]:
    """Read files that may only be understood together, without those that are nested too deeply."""
    try:
        return list(read_events(files, symbols))
    except RecursionError:
        for source in files:
            _read_one(sources, source, partial(read_events, [source], symbols))
        return list(read_events([source for source in files if source.path not in sources.unreadable], symbols))


def _owners(root: Path, settings: CheckSettings, sources: Sources) -> set[str]:
    """Return the services that own events: those of the system, and those whose contracts are known."""
    contracts = (path.stem for path in (root / settings.contracts).glob("*.json"))
    return {*settings.external_services, *contracts, *(folder.name for folder in sources.service_folders)}


def _readers_of(events: Iterable[Event], owners: Collection[str]) -> set[str]:
    """Return the classes that read another service's event: their event type names that service as the owner."""
    services: Services = dict.fromkeys(owners, ())
    typed = ((event, event.event_type) for event in events if event.event_type is not None)
    named = ((event, parse_channel_name(kind.upper(), services).service) for event, kind in typed)
    return {event.symbol for event, owner in named if owner in services and owner != event.service}


def _read_shapes(events: Iterable[Event], sources: Sources, symbols: Symbols) -> dict[str, Shape]:
    """Read what the payloads are made of; a class that several of them name is read once."""
    shapes: dict[str, Shape] = {}
    for payload in dict.fromkeys(event.payload for event in events if event.payload is not None):
        if (defined := symbols.class_of(payload)) is not None:
            read = partial(read_shapes, payload, symbols, shapes.keys())
            shapes |= {shape.symbol: shape for shape in _read_one(sources, defined[0].source, read)}
    return shapes


def _service(package: Path, root: Path, naming_channels: Collection[str]) -> Service:
    folders = sorted(folder.name for folder in package.glob("domain_layer/*") if folder.is_dir())
    aggregates = tuple(name for name in folders if name.isidentifier() and not name.startswith("_"))
    return Service(package.name, package.relative_to(root).as_posix(), aggregates, package.name in naming_channels)
