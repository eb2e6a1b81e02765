"""Rules of mappers, DS301 to DS308: every event is mapped, each to its own channel."""

from collections.abc import Iterator
from functools import lru_cache

from domainstream.tools.check.findings import Location, RawFinding
from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.model.flow import Case, Mapper, Outcome
from domainstream.tools.check.model.project import Project


def without_case(project: Project) -> Iterator[RawFinding]:
    """Find events that a mapper does not take, where nothing hides that."""
    for mapper in project.mappers:
        if not _hides(mapper):
            for event in _missing(project, mapper):
                message = f"{mapper.name} has no case for {event.name}"
                channel = (event.event_type or "...").upper()
                fix = f"add case {event.name}(): return {_enum_name(project)}.{channel}, or None to keep it inside"
                yield RawFinding(mapper.location, message, fix)


def hiding_wildcard(project: Project) -> Iterator[RawFinding]:
    """Find wildcards that take events which have no case."""
    for mapper in project.mappers:
        missing = [event.name for event in _missing(project, mapper)]
        if mapper.wildcard and _hides(mapper) and missing:
            message = f"{mapper.name}: its wildcard hides the missing case for {', '.join(missing)}"
            fix = f"add case {missing[0]}(): ..., then use case _: assert_never({mapper.parameter})"
            yield RawFinding(mapper.wildcard.location, message, fix)


def without_assert_never(project: Project) -> Iterator[RawFinding]:
    """Find mappers that have a case for every event, but would not report the next one."""
    for mapper in project.mappers:
        sure = mapper.wildcard is not None and mapper.wildcard.unreachable
        if mapper.understood and mapper.cases and not sure and not (_hides(mapper) and _missing(project, mapper)):
            message = (
                f"{mapper.name} does not end in assert_never, so a type checker cannot report an event without a case"
            )
            location = mapper.wildcard.location if mapper.wildcard else mapper.location
            yield RawFinding(location, message, f"add case _: assert_never({mapper.parameter})")


def _hides(mapper: Mapper) -> bool:
    return mapper.wildcard is not None and not mapper.wildcard.unreachable


def _missing(project: Project, mapper: Mapper) -> list[Event]:
    if mapper.union is None or not mapper.understood:
        return []
    covered = {symbol for case in mapper.cases if case.covers for symbol in case.events}
    return [project.event_by_symbol[symbol] for symbol in mapper.union if symbol not in covered]


def _enum_name(project: Project) -> str:
    return project.enums[0].name if project.enums else "Channel"


def unknown_channel(project: Project) -> Iterator[RawFinding]:
    """Find cases that return a channel which the enum does not have: they raise for every such event."""
    members = {enum.symbol: {channel.name for channel in enum.channels} for enum in project.enums}
    for mapper, _, outcome in returned(project):
        if outcome.enum in members and outcome.channel not in members[outcome.enum]:
            name = outcome.enum.rpartition(".")[2]
            message = f"{mapper.name} returns {name}.{outcome.channel}, which {name} does not have"
            member = f"{outcome.channel} = {(outcome.channel or '').lower()!r}"
            fix = f"return a channel that exists, or add to {name}: {member}"
            yield RawFinding(outcome.location, message, fix)


def another_events_channel(project: Project) -> Iterator[RawFinding]:
    """Find cases that return the channel of another event, or of another service."""
    for mapper, event, outcome in _strays(project):
        if (mapper.location, outcome.channel) not in _rightful(project):
            message = f"{event.name} has the type {event.event_type!r}, but {mapper.name} sends it to {outcome.channel}"
            yield RawFinding(outcome.location, message, _own_channel(project, event))


def shared_channel(project: Project) -> Iterator[RawFinding]:
    """Find cases that return a channel to which the same mapper sends the event that it is named after."""
    for mapper, event, outcome in _strays(project):
        name = _rightful(project).get((mapper.location, outcome.channel))
        if name is not None:
            message = f"{mapper.name} sends {event.name} to {outcome.channel}, the channel of {name}"
            yield RawFinding(outcome.location, message, _own_channel(project, event))


def _strays(project: Project) -> Iterator[tuple[Mapper, Event, Outcome]]:
    for mapper, event, outcome in returned(project):
        if event.event_type is not None and (outcome.channel or "").lower() != event.event_type:
            yield mapper, event, outcome


@lru_cache(maxsize=1)
def _rightful(project: Project) -> dict[tuple[Location, str | None], str]:
    """Return the event that each channel is named after, where a mapper sends it there."""
    return {
        (mapper.location, outcome.channel): event.name
        for mapper, event, outcome in returned(project)
        if (outcome.channel or "").lower() == event.event_type
    }


def _own_channel(project: Project, event: Event) -> str:
    return f"use return {_enum_name(project)}.{(event.event_type or '').upper()}"


def forbidden_none(project: Project) -> Iterator[RawFinding]:
    """Find mappers whose return type forbids the None that a case returns, or that the words about it promise."""
    for mapper in project.mappers:
        returns_none = any(outcome.channel is None for case in mapper.cases for outcome in case.outcomes)
        if mapper.allows_none is False and (returns_none or mapper.promises_none):
            why = "a case returns None" if returns_none else "its documentation promises None"
            message = f"{mapper.name}: {why}, but the return type forbids it"
            yield RawFinding(mapper.return_location, message, f"use -> {_enum_name(project)} | None")


def unreached_cases(project: Project) -> Iterator[RawFinding]:
    """Find cases for events that an earlier case takes: Python never comes to them."""
    for mapper in project.mappers:
        covered: dict[str, Case] = {}
        for case in mapper.cases:
            taken = {symbol: covered[symbol] for symbol in case.events if symbol in covered}
            for symbol, other in taken.items():
                name = project.event_by_symbol[symbol].name
                message = (
                    f"{mapper.name} has two cases for {name}; line {other.location.line} takes all of these events"
                )
                yield RawFinding(case.location, message, "remove one of the two cases")
            if case.covers:
                covered |= {symbol: case for symbol in case.events if symbol not in covered}


def returned(project: Project) -> Iterator[tuple[Mapper, Event, Outcome]]:
    """Yield each channel that a mapper returns, with the event it does that for."""
    for mapper in project.mappers:
        for case in mapper.cases:
            for outcome in case.outcomes:
                if outcome.channel is not None:
                    yield from ((mapper, project.event_by_symbol[symbol], outcome) for symbol in case.events)
