"""`domainstream new event`: an event from its class to its channel.

Each step adds only what is missing, so a step that was done by hand is kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import libcst as cst

from domainstream.channel.channel_name import parse_channel_name, services_violations, violations_of
from domainstream.tools.scaffold.edits.contracts import services_of, with_aggregate
from domainstream.tools.scaffold.edits.enums import find_class, with_member
from domainstream.tools.scaffold.edits.imports import local_name, without_import
from domainstream.tools.scaffold.edits.mappers import INSIDE, find_mapper, with_case
from domainstream.tools.scaffold.edits.subscriptions import with_channel
from domainstream.tools.scaffold.edits.unions import EMPTY, with_class
from domainstream.tools.scaffold.errors import RefusedError
from domainstream.tools.scaffold.fields import Field, imports_of_examples
from domainstream.tools.scaffold.layout import Service, ServiceFiles, events_file, module_of, service_files
from domainstream.tools.scaffold.names import module_problems, pascal, snake, words
from domainstream.tools.scaffold.payload import UnknownTypeError, payload_values
from domainstream.tools.scaffold.service import reinterpreted
from domainstream.tools.scaffold.source import Source, dotted, small
from domainstream.tools.scaffold.system import System

_NO_SUBSCRIPTIONS: Final = "project/packages/contracts/src/contracts/subscriptions.py.j2"
"""The subscriptions of a project without channels, which cannot be edited: the first channel replaces the file."""

_LONGEST_CLASS: Final = 56
"""The maximum length of an event's class name; a longer one would not fit into lines of 79 characters."""


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event that is to be made."""

    service: Service
    """The service that publishes it."""

    aggregate: str
    """The aggregate that it happens to, in snake case."""

    name: str
    """The event's name without service and aggregate, in snake case and the past tense."""

    fields: Sequence[Field]
    """The fields of its payload."""

    internal: bool
    """Whether it stays inside the service, without a channel."""

    file: str
    """The file of its class."""

    files: ServiceFiles
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
        """The name of its type and of its channel."""
        return f"domain_{self.service.name}_{self.aggregate}_{self.name}".upper()


def read_event(
    system: System, service: str, aggregate: str, event: str, fields: Sequence[Field], *, internal: bool
) -> NewEvent:
    """Return the event that the arguments name; `OptimizationEvaluated` of `optimization` is read as `evaluated`.

    Raises `UnknownNameError` for a service that does not exist.
    """
    owner = system.layout.existing(snake(service, "name of the service"))
    about = snake(aggregate, "name of the aggregate")
    name = snake(event, "name of the event")
    own = name.removeprefix(f"domain_{owner.name}_").removeprefix(f"{about}_")
    return NewEvent(
        service=owner,
        aggregate=about,
        name=own,
        fields=fields,
        internal=internal,
        file=events_file(system.project, owner, about),
        files=service_files(system.project, owner),
    )


def plan_event(system: System, event: NewEvent) -> None:
    """Plan an event: class and type, union, channel, subscription, mapper case and test.

    Raises `RefusedError` for what `check` would report, and for an existing event that differs.
    """
    _require_valid(system, event)
    channels = system.plan.source(system.layout.channels)
    system.plan.put(with_aggregate(channels, event.service.name, event.aggregate))
    _plan_class(system, event)
    _plan_union(system, event)
    if not event.internal:
        system.add_member(system.channels, event.type_name, event.type_name.lower())
        _plan_subscription(system, f"{system.channels.name}.{event.type_name}")
    _plan_case(system, event)
    _plan_test(system, event)


def _require_valid(system: System, event: NewEvent) -> None:
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
        own.append(f"the name of its class has more than {_LONGEST_CLASS} characters; use a shorter one")
    yield from own
    if own:
        return
    yield from reinterpreted(system, before, after)
    yield from violations_of(event.type_name, event.type_name.lower(), after)
    read = parse_channel_name(event.type_name, after)
    if read != (service, event.aggregate, event.name):
        reading = f"{read.event_name} of aggregate {read.aggregate} of {read.service}"
        yield f"{event.type_name} would be read as {reading}; use that, or another name"


def _retired(system: System, event: NewEvent) -> Iterator[str]:
    if event.type_name in {name.upper() for name in system.layout.settings.retired}:
        yield f"{event.type_name} is the name of a retired channel; choose another name"


def _differences(system: System, event: NewEvent) -> Iterator[str]:
    """Yield how an existing event differs from the requested one."""
    mapper = find_mapper(system.plan.source(event.files.mapper))
    returned = mapper.cases.get(event.event_class)
    if returned is not None and (returned == INSIDE) != event.internal:
        now = "stays inside the service" if returned == INSIDE else f"goes to {returned}"
        option = "with" if returned == INSIDE else "without"
        yield f"it exists, and {now}; run the command {option} --internal, or change {event.files.mapper} by hand"
    if not system.plan.exists(event.file):
        return
    source = system.plan.source(event.file)
    payload = find_class(source, event.payload)
    there = {line.rstrip() for line in _declarations(source, payload)} if payload else set()
    asked = {field.declaration for field in event.fields}
    if payload and asked and there != asked:
        yield f"it exists with other fields; change {event.file} by hand, and increase its version if it was published"


def _declarations(source: Source, payload: cst.ClassDef) -> Iterator[str]:
    for line in payload.body.body:
        yield from (source.text_of(field) for field in small(line) if isinstance(field, cst.AnnAssign))


def _plan_class(system: System, event: NewEvent) -> None:
    aggregate = event.service.aggregate(event.aggregate)
    system.create("event/aggregate_init.py.j2", f"{aggregate}/__init__.py", aggregate=event.aggregate)
    imports = sorted({wanted for field in event.fields for wanted in field.imports})
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
    for enum in source.classes():
        if any(dotted(base.value).endswith("StrEnum") for base in enum.bases) and enum.name.value.endswith("EventType"):
            return enum
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
    source = system.plan.source(event.files.union)
    changed = with_class(source, event.files.union_name, event.event_class)
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
    source = system.plan.source(event.files.mapper)
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
    except UnknownTypeError:  # the payload was written by hand, and so will be its test
        return
    values = {
        "sentence": _sentence(event),
        "service": event.service.name,
        "aggregate": event.aggregate,
        "event_class": event.event_class,
        "events_module": module_of(event.file),
        "mapper_module": module_of(event.files.mapper),
        "mapper": find_mapper(system.plan.source(event.files.mapper)).function.name.value,
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
