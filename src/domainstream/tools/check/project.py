"""Reads a whole system from its files, importing none of them."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from domainstream.tools.check.model.domain import ChannelEnum, Event, Shape
from domainstream.tools.check.model.project import Project, Service
from domainstream.tools.check.reading.channels import read_channels
from domainstream.tools.check.reading.consumers import joined, read_consumers, read_upcasters
from domainstream.tools.check.reading.events import read_events, read_unions
from domainstream.tools.check.reading.layers import read_breaches
from domainstream.tools.check.reading.mappers import Known, read_mappers
from domainstream.tools.check.reading.payloads import read_naive_calls, read_shapes
from domainstream.tools.check.reading.sources import TOO_DEEP, Source, Sources
from domainstream.tools.check.reading.subscriptions import read_subscriptions
from domainstream.tools.check.reading.symbols import Symbols
from domainstream.tools.check.settings import CheckSettings, read_settings
from domainstream.tools.check.snapshots import read_snapshots
from domainstream.tools.check.suppressions import read_ignores

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
        return _read(root, chosen, Sources(root, chosen))


def _read(root: Path, settings: CheckSettings, sources: Sources) -> Project:
    symbols = Symbols(sources)
    channel_files = sources.matching(settings.channels)
    subscription_files = sources.matching(settings.subscriptions)
    everything = list(sources)
    each = partial(_each, sources)
    enums = each(channel_files, lambda file: read_channels([file], symbols))
    events = {
        event.symbol: event for event in _read_together(sources, everything, lambda all_: read_events(all_, symbols))
    }
    unions = each(everything, lambda file: read_unions([file], symbols, events))
    snapshots = read_snapshots(root, settings.contracts)
    naming = _naming(everything, enums)
    known = Known(symbols, enums, events, unions)
    shapes = {shape.symbol: shape for shape in _shapes(events.values(), sources, symbols)}
    return Project(
        root=root,
        settings=settings,
        services=tuple(_service(folder, root, naming) for folder in sources.service_folders),
        enums=enums,
        has_channels=any(b"EventPublisherChannel" in source.text for source in channel_files),
        events=tuple(events.values()),
        unions=unions,
        mappers=each(everything, lambda file: read_mappers([file], known)),
        subscription_maps=each(subscription_files, lambda file: read_subscriptions([file], symbols)),
        consumers=joined(each(everything, lambda file: read_consumers([file], symbols, events))),
        upcasters=each(everything, lambda file: read_upcasters([file], symbols)),
        shapes=shapes,
        naive_calls=each(everything, lambda file: read_naive_calls([file], symbols, shapes)),
        breaches=each(everything, lambda file: read_breaches([file], sources)),
        ignores=tuple(comment for file in everything for comment in read_ignores(file)),
        snapshots=snapshots.events,
        unreadable=(*sources.unreadable.values(), *snapshots.unreadable),
    )


def _each(sources: Sources, files: Iterable[Source], read: Callable[[Source], Iterable[FoundT]]) -> tuple[FoundT, ...]:
    return tuple(found for source in files for found in _read_one(sources, source, read))


def _read_together(
    sources: Sources, files: list[Source], read: Callable[[Iterable[Source]], Iterable[FoundT]]
) -> list[FoundT]:
    """Read files that may only be understood together, without those that are nested too deeply."""
    try:
        return list(read(files))
    except RecursionError:
        for source in files:
            _read_one(sources, source, lambda one: read([one]))
        return list(read([source for source in files if source.path not in sources.unreadable]))


def _read_one(sources: Sources, source: Source, read: Callable[[Source], Iterable[FoundT]]) -> list[FoundT]:
    """Read one file; one that is nested too deeply is noted as unreadable, and the others are still read."""
    try:
        return list(read(source))
    except RecursionError:
        sources.give_up(source, *TOO_DEEP)
        return []


def _shapes(events: Iterable[Event], sources: Sources, symbols: Symbols) -> Iterator[Shape]:
    for payload in dict.fromkeys(event.payload for event in events if event.payload is not None):
        found = symbols.class_of(payload)
        if found is not None:
            yield from _read_one(sources, found[0].source, partial(_shapes_of, payload, symbols))


def _shapes_of(payload: str, symbols: Symbols, _: Source) -> Iterator[Shape]:
    return read_shapes([payload], symbols)


def _naming(files: Iterable[Source], enums: Iterable[ChannelEnum]) -> set[str]:
    """Return the services that name an enum of channels in any of their files."""
    words = {f"{enum.name}.".encode() for enum in enums}
    return {source.service for source in files if any(word in source.text for word in words)}


def _service(folder: Path, root: Path, naming: set[str]) -> Service:
    inside = sorted(one for one in folder.glob("domain_layer/*") if one.is_dir())
    names = [one.name for one in inside if one.name.isidentifier() and not one.name.startswith("_")]
    return Service(folder.name, folder.relative_to(root).as_posix(), tuple(names), folder.name in naming)
