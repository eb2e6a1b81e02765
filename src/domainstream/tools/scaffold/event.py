"""`domainstream new event`: the guide's four steps in one.

Each step adds only what is not there, so that a step that was made by hand is taken as it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import libcst as cst

from domainstream.channel.channel_name import parse_channel_name, services_violations, violations_of
from domainstream.tools.scaffold.edits.channels import services_of, with_aggregate
from domainstream.tools.scaffold.edits.enums import find_class, with_member
from domainstream.tools.scaffold.edits.imports import local_name, without_import
from domainstream.tools.scaffold.edits.mappers import INSIDE, find_mapper, with_case
from domainstream.tools.scaffold.edits.subscriptions import with_channel
from domainstream.tools.scaffold.edits.unions import EMPTY, with_class
from domainstream.tools.scaffold.errors import RefusedError
from domainstream.tools.scaffold.examples import UnknownTypeError, payload_values
from domainstream.tools.scaffold.fields import Field, imports_of_examples
from domainstream.tools.scaffold.layout import Service, module_of
from domainstream.tools.scaffold.names import module_problems, pascal, snake, words
from domainstream.tools.scaffold.service import retold
from domainstream.tools.scaffold.service_files import Places, events_file, places_of
from domainstream.tools.scaffold.source import Source, dotted, small
from domainstream.tools.scaffold.system import System

_NO_SUBSCRIPTIONS: Final = "project/packages/contracts/src/contracts/subscriptions.py.j2"
"""What stands there in a project without channels."""

_LONGEST_CLASS: Final = 56
"""So long may the name of an event's class be; with more, no formatter can keep lines within 79 characters."""


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event that is to be."""

    service: Service
    """Who publishes it."""

    aggregate: str
    """What it happens to, in snake case."""

    name: str
    """What happens, in snake case and the past tense."""

    fields: Sequence[Field]
    """What its payload tells."""

    internal: bool
    """Whether it stays inside the service."""

    file: str
    """The file it stands in."""

    places: Places
    """The other files of the service that it changes."""

    @property
    def event_class(self) -> str:
        """The name of its class."""
        return pascal(f"{self.aggregate}_{self.name}")

    @property
    def payload(self) -> str:
        """The name of its payload's class."""
        return f"{self.event_class}Payload"

    @property
    def type_name(self) -> str:
        """The name of its type, which is that of its channel."""
        return f"domain_{self.service.name}_{self.aggregate}_{self.name}".upper()


def read_event(
    system: System, service: str, aggregate: str, event: str, fields: Sequence[Field], *, internal: bool
) -> NewEvent:
    """Return the event that is meant; `OptimizationEvaluated` of the aggregate `optimization` is `evaluated`.

    Raises `UnknownNameError` for a service that is not there.
    """
    found = system.layout.existing(snake(service, "name of the service"))
    about = snake(aggregate, "name of the aggregate")
    name = snake(event, "name of the event")
    own = name.removeprefix(f"domain_{found.name}_").removeprefix(f"{about}_")
    return NewEvent(
        service=found,
        aggregate=about,
        name=own,
        fields=fields,
        internal=internal,
        file=events_file(system.project, found, about),
        places=places_of(system.project, found),
    )


def plan_event(system: System, event: NewEvent) -> None:
    """Plan an event: class and type, union, channel, subscription, mapper case and test.

    Raises `RefusedError` for what `check` would refuse, and for an event that is there and is another.
    """
    refuse_event(system, event)
    channels = system.plan.source(system.layout.channels)
    system.plan.put(with_aggregate(channels, event.service.name, event.aggregate))
    _plan_class(system, event)
    _plan_union(system, event)
    if not event.internal:
        system.add_member(system.channels, event.type_name, event.type_name.lower())
        _plan_subscription(system, f"{system.channels.name}.{event.type_name}")
    _plan_case(system, event)
    _plan_test(system, event)


def refuse_event(system: System, event: NewEvent) -> None:
    """Raise `RefusedError` with every rule that an event breaks."""
    problems = [*_name_problems(system, event), *_retired(system, event), *_differences(system, event)]
    if problems:
        raise RefusedError(f"The event {event.event_class} cannot be made:", problems)


def _name_problems(system: System, event: NewEvent) -> Iterator[str]:
    before = services_of(system.plan.source(system.layout.channels)) or {}
    service, aggregates = event.service.name, before.get(event.service.name, ())
    after = {**before, service: tuple(dict.fromkeys((*aggregates, event.aggregate)))}
    own = [*services_violations({service: (event.aggregate,)}), *module_problems(event.aggregate)]
    if len(event.event_class) > _LONGEST_CLASS:
        own.append(f"its class has a name of more than {_LONGEST_CLASS} characters; type a shorter one")
    yield from own
    if own:
        return
    yield from retold(system, before, after)
    yield from violations_of(event.type_name, event.type_name.lower(), after)
    read = parse_channel_name(event.type_name, after)
    if read != (service, event.aggregate, event.name):
        told = f"{read.event_name} of aggregate {read.aggregate} of {read.service}"
        yield f"{event.type_name} would be read as {told}; type that, or another"


def _retired(system: System, event: NewEvent) -> Iterator[str]:
    if event.type_name in {name.upper() for name in system.layout.settings.retired}:
        yield f"{event.type_name} was in use once; its name must not come back, so choose another"


def _differences(system: System, event: NewEvent) -> Iterator[str]:
    """Yield how the event that is there differs from the one that is asked for."""
    mapper = find_mapper(system.plan.source(event.places.mapper))
    returned = mapper.cases.get(event.event_class)
    if returned is not None and (returned == INSIDE) != event.internal:
        now = "stays inside the service" if returned == INSIDE else f"goes to {returned}"
        option = "with" if returned == INSIDE else "without"
        yield f"it is there, and {now}; type the command {option} --internal, or change {event.places.mapper} by hand"
    if not system.plan.exists(event.file):
        return
    source = system.plan.source(event.file)
    payload = find_class(source, event.payload)
    there = {line.rstrip() for line in _declarations(source, payload)} if payload else set()
    asked = {field.declaration for field in event.fields}
    if payload and asked and there != asked:
        yield f"it is there with other fields; change {event.file} by hand, and raise its version if it was published"


def _declarations(source: Source, payload: cst.ClassDef) -> Iterator[str]:
    for line in payload.body.body:
        yield from (source.text_of(one) for one in small(line) if isinstance(one, cst.AnnAssign))


def _plan_class(system: System, event: NewEvent) -> None:
    aggregate = event.service.aggregate(event.aggregate)
    system.create("event/aggregate_init.py.j2", f"{aggregate}/__init__.py", aggregate=event.aggregate)
    imports = sorted({one for field in event.fields for one in field.imports})
    system.create("event/events.py.j2", event.file, aggregate=event.aggregate, field_imports=imports)
    source = system.plan.source(event.file)
    types = _types_of(source)
    source = with_member(source, types, event.type_name, event.type_name.lower())
    if find_class(source, event.event_class) is None:
        needed = ["typing:final", "domainstream:BaseEvent", "domainstream:EventPayload", *imports]
        source = system.add_imports(source, needed)
        source = source.inserted(len(source.text.encode()), _classes(system, event, types.name.value))
    system.plan.put(source)


def _types_of(source: Source) -> cst.ClassDef:
    for one in source.classes():
        if any(dotted(base.value).endswith("StrEnum") for base in one.bases) and one.name.value.endswith("EventType"):
            return one
    raise source.cannot_edit("there is no enum of event types", "class ...EventType(StrEnum): ...")


def _classes(system: System, event: NewEvent, types: str) -> str:
    return system.render(
        "event/classes.py.j2",
        event.file,
        event_class=event.event_class,
        payload=event.payload,
        fields=event.fields,
        sentence=_sentence(event),
        event_type=f"{types}.{event.type_name}",
    )


def _sentence(event: NewEvent) -> str:
    return words(f"{event.aggregate}_{event.name}").capitalize()


def _plan_union(system: System, event: NewEvent) -> None:
    source = system.plan.source(event.places.union)
    changed = with_class(source, event.places.union_name, event.event_class)
    if changed is not source:
        source = system.add_imports(without_import(changed, "typing", EMPTY), [_place(event)])
        system.plan.put(source)


def _place(event: NewEvent) -> str:
    return f"{module_of(event.file)}:{event.event_class}"


def _plan_subscription(system: System, channel: str) -> None:
    path = system.layout.subscriptions
    if system.plan.read(path) == system.render(_NO_SUBSCRIPTIONS, path):
        system.plan.write(path, system.render("first_subscriptions.py.j2", path, channel=channel))
    source = system.plan.source(path)
    system.plan.put(with_channel(source, channel))


def _plan_case(system: System, event: NewEvent) -> None:
    source = system.plan.source(event.places.mapper)
    channel = INSIDE if event.internal else f"{system.channels.name}.{event.type_name}"
    changed = with_case(source, event.event_class, channel)
    if changed is source:
        return
    shared = [] if event.internal and local_name(source, *system.channels.place.split(":")) else [system.channels.place]
    system.plan.put(system.add_imports(changed, [_place(event), *shared]))


def _plan_test(system: System, event: NewEvent) -> None:
    path = f"{event.service.folder}/tests/test_publish_{event.aggregate}_{event.name}.py"
    known = system.project.event_by_symbol.get(_place(event).replace(":", "."))
    try:
        payload = _payload_values(event) if known is None else payload_values(known, system.project)
    except UnknownTypeError:  # an event of somebody's own, who knows how to test it
        return
    values = {
        "sentence": _sentence(event),
        "service": event.service.name,
        "aggregate": event.aggregate,
        "event_class": event.event_class,
        "events_module": module_of(event.file),
        "mapper_module": module_of(event.places.mapper),
        "mapper": find_mapper(system.plan.source(event.places.mapper)).function.name.value,
        "channel": f"{system.channels.name}.{event.type_name}",
    }
    system.create("event/test.py.j2", path, internal=event.internal, **values, **payload)


def _payload_values(event: NewEvent) -> dict[str, object]:
    return {
        "payload": event.payload,
        "payload_place": f"{module_of(event.file)}:{event.payload}",
        "examples": [f"{field.name}={field.example}" for field in event.fields],
        "example_imports": imports_of_examples(event.fields),
    }
