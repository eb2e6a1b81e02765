"""Rules of events, DS201 to DS209: where they are, and what they say of themselves."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from domainstream.tools.check.findings import RawFinding
from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.model.project import Project


def outside_domain_layer(project: Project) -> Iterator[RawFinding]:
    """Find event classes outside every aggregate's folder of the domain layer."""
    paths = {service.name: service.path for service in project.services}
    for event in project.events:
        if event.aggregate is None:
            folder = f"{paths.get(event.service, event.service)}/domain_layer/{{aggregate}}/"
            message = f"{event.name} is outside the domain layer's aggregates, where readers look for events"
            yield RawFinding(event.location, message, f"move the class to {folder}{{aggregate}}_events.py")


def not_final(project: Project) -> Iterator[RawFinding]:
    """Find event classes that may be derived from: a mapper's case would take the derived event for this one."""
    for event in project.events:
        if not event.final:
            message = f"{event.name} is not marked @final, so a subclass would silently go to its channel"
            yield RawFinding(event.location, message, f"add @final above class {event.name}")


def without_type(project: Project) -> Iterator[RawFinding]:
    """Find event classes that do not say their type."""
    for event in project.events:
        if not event.has_type:
            message = f"{event.name} has no event type, so it cannot be published"
            yield RawFinding(
                event.location, message, "add event_type = ...EventType.DOMAIN_{SERVICE}_{AGGREGATE}_{EVENT_NAME}"
            )


def same_type(project: Project) -> Iterator[RawFinding]:
    """Find event classes that share their type with another one: a consumer could not tell them apart."""
    first: dict[str, Event] = {}
    for event in project.events:
        if event.event_type is None:
            continue
        other = first.setdefault(event.event_type, event)
        if other is not event:
            where = f"{other.location.path}:{other.location.line}"
            message = f"{event.name} has the event type of {other.name} ({where}): {event.event_type}"
            yield RawFinding(event.location, message, "give one of them its own event type")


def not_in_union(project: Project) -> Iterator[RawFinding]:
    """Find events that are missing in their service's union: no type checker asks for their case in the mapper."""
    covered = {symbol for union in project.unions for symbol in union.events}
    covered |= {symbol for mapper in project.mappers for symbol in mapper.union or ()}
    unclear = {union.service for union in project.unions if not union.complete}
    unclear |= {mapper.service for mapper in project.mappers if mapper.union is None} | project.broken_services
    names = {union.service: union.symbol.rpartition(".")[2] for union in project.unions}
    for event in project.events:
        if event.symbol not in covered and event.service not in unclear:
            default = f"{event.service.title().replace('_', '')}DomainEvent"
            name = names.get(event.service, default)
            message = f"{event.name} is not in {name}, so no type checker demands a case for it"
            yield RawFinding(event.location, message, f"add it to the union: {name} = ... | {event.name}")


def infrastructure_imported(project: Project) -> Iterator[RawFinding]:
    """Find domain layers that import infrastructure."""
    for breach in project.breaches:
        message = f"the domain layer imports {breach.imported}, which is infrastructure"
        yield RawFinding(
            breach.location, message, "pass it in from outside, as a parameter or behind a Protocol of the domain layer"
        )


def naive_datetimes(project: Project) -> Iterator[RawFinding]:
    """Find fields of payloads that take datetimes without a time zone, and calls that give them one."""
    for shape in project.shapes.values():
        for field in shape.fields:
            if field.naive:
                message = f"{shape.name}.{field.attribute} takes datetimes without a time zone, which are ambiguous"
                fix = f"use {field.attribute}: Annotated[datetime, Meta(tz=True)]"
                yield RawFinding(
                    field.location, message, f"{fix} (from typing import Annotated; from msgspec import Meta)"
                )
    for call in project.naive_calls:
        message = f"{call.field} is given {call.call}, which has no time zone"
        yield RawFinding(call.location, message, "use datetime.now(UTC)")


def _uncarried(project: Project, kind: str) -> Iterator[RawFinding]:
    for field in project.uncarried:
        if field.kind == kind:
            yield RawFinding(field.location, field.problem, field.fix)


lost_fields: Final = partial(_uncarried, kind="field")
unwritable_types: Final = partial(_uncarried, kind="type")
