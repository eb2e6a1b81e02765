"""`domainstream new event`: an event from its class to its channel.

Each step adds only what is missing, so a step that was done by hand is kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import libcst as cst

from domainstream.channel.channel_name import parse_channel_name, services_violations, violations_of
from domainstream.tools.scaffold.edits.contracts import services_of, with_aggregate, with_channel, with_member
from domainstream.tools.scaffold.edits.imports import without_import
from domainstream.tools.scaffold.edits.services import INSIDE, NO_EVENTS, find_mapper, with_case, with_class
from domainstream.tools.scaffold.errors import RefusedError
from domainstream.tools.scaffold.layout import Service, ServiceFiles, events_file, module_of, service_files
from domainstream.tools.scaffold.names import module_problems, pascal, snake, words
from domainstream.tools.scaffold.payload import Field, UnknownTypeError, payload_values, values_of_fields
from domainstream.tools.scaffold.project import reinterpreted
from domainstream.tools.scaffold.source import small
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
    def place(self) -> str:
        """The import of its class, as `module:name`."""
        return f"{module_of(self.file)}:{self.event_class}"

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        return words(f"{self.aggregate}_{self.name}").capitalize()

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
    problems = [*_name_problems(system, event), *_conflicts(system, event)]
    if problems:
        raise RefusedError(f"The event {event.event_class} cannot be made:", problems)
    channels = system.plan.source(system.layout.channels)
    system.plan.put(with_aggregate(channels, event.service.name, event.aggregate))
    _plan_class(system, event)
    if not event.internal:
        _plan_channel(system, event)
    _plan_case(system, event)
    _plan_test(system, event)


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


def _conflicts(system: System, event: NewEvent) -> Iterator[str]:
    """Yield that the channel is retired, and how an existing event differs from the requested one."""
    if event.type_name in {name.upper() for name in system.layout.settings.retired}:
        yield f"{event.type_name} is the name of a retired channel; choose another name"
    mapper = find_mapper(system.plan.source(event.files.mapper), event.files.mapper_name)
    returned = mapper.cases.get(event.event_class) if mapper else None
    if returned is not None and (returned == INSIDE) != event.internal:
        now = "stays inside the service" if returned == INSIDE else f"goes to {returned}"
        option = "with" if returned == INSIDE else "without"
        yield f"it exists, and {now}; run the command {option} --internal, or change {event.files.mapper} by hand"
    if not system.plan.exists(event.file):
        return
    source = system.plan.source(event.file)
    payload = source.find_class(event.payload)
    statements = [each for line in payload.body.body for each in small(line)] if payload else []
    there = {source.text_of(field).rstrip() for field in statements if isinstance(field, cst.AnnAssign)}
    asked = {field.declaration for field in event.fields}
    if payload and asked and there != asked:
        yield f"it exists with other fields; change {event.file} by hand, and increase its version if it was published"


def _plan_class(system: System, event: NewEvent) -> None:
    """Plan the event's class with its type, and the class in the service's union."""
    aggregate = event.service.aggregate(event.aggregate)
    system.create("event/aggregate_init.py.j2", f"{aggregate}/__init__.py", aggregate=event.aggregate)
    imports = sorted({wanted for field in event.fields for wanted in field.imports})
    system.create("event/events.py.j2", event.file, aggregate=event.aggregate, field_imports=imports)
    source = system.plan.source(event.file)
    types = next((enum for enum in source.subclasses("Enum") if enum.name.value.endswith("EventType")), None)
    if types is None:
        by_hand = f'class {pascal(event.aggregate)}EventType(StrEnum): {event.type_name} = "{event.type_name.lower()}"'
        raise source.cannot_edit("there is no enum of event types", by_hand)
    source = with_member(source, types, event.type_name, event.type_name.lower())
    if source.find_class(event.event_class) is None:
        source = system.add_imports(source, imports)
        source, final = system.imported(source, "typing:final")
        source, base_event = system.imported(source, "domainstream:BaseEvent")
        source, base_payload = system.imported(source, "domainstream:EventPayload")
        classes = system.render(
            "event/classes.py.j2",
            event.file,
            final=final,
            base_event=base_event,
            base_payload=base_payload,
            event_class=event.event_class,
            payload=event.payload,
            fields=event.fields,
            sentence=event.sentence,
            event_type=f"{types.name.value}.{event.type_name}",
        )
        source = source.inserted_lines(len(source.text.encode()), source.indented(classes, ""))
    system.plan.put(source)
    union = system.plan.source(event.files.union)
    changed = with_class(union, event.files.union_name, system.imported(union, event.place)[1])
    if changed is not union:
        changed, _ = system.imported(changed, event.place)
        for module, name in product(("typing", "typing_extensions"), NO_EVENTS):
            changed = without_import(changed, module, name)
        system.plan.put(changed)


def _plan_channel(system: System, event: NewEvent) -> None:
    """Plan the event's channel, and its subscriptions, which are empty."""
    system.add_member(system.channels, event.type_name, event.type_name.lower())
    path, text = system.layout.subscriptions, system.plan.read(system.layout.subscriptions)
    if text.splitlines() == system.render(_NO_SUBSCRIPTIONS, path).splitlines():
        channel = f"{system.channels.name}.{event.type_name}"
        first = system.render("first_subscriptions.py.j2", path, channel=channel)
        system.plan.write(path, first.replace("\n", "\r\n") if "\r\n" in text else first)
        return
    source = system.plan.source(path)
    changed = with_channel(source, system.member_in(source, system.channels, event.type_name))
    if changed is not source:
        system.plan.put(system.imported(changed, system.channels.place)[0])


def _plan_case(system: System, event: NewEvent) -> None:
    source = system.plan.source(event.files.mapper)
    places = [event.place] if event.internal else [event.place, system.channels.place]
    event_class = system.imported(source, event.place)[1]
    returned = INSIDE if event.internal else system.member_in(source, system.channels, event.type_name)
    changed = with_case(source, event.files.mapper_name, event_class, event.type_name, returned)
    if changed is not source:
        for place in places:
            changed, _ = system.imported(changed, place)
        system.plan.put(changed)


def _plan_test(system: System, event: NewEvent) -> None:
    path = f"{event.service.folder}/tests/test_publish_{event.aggregate}_{event.name}.py"
    known = system.project.event_by_symbol.get(event.place.replace(":", "."))
    try:
        payload = (
            values_of_fields(event.fields, event.payload, module_of(event.file))
            if known is None
            else payload_values(known, system.project)
        )
    except UnknownTypeError:  # the payload was written by hand, and so will be its test
        return
    source = system.plan.source(event.files.mapper)
    mapper = find_mapper(source, event.files.mapper_name)
    if mapper is None or mapper.function not in source.module.body:  # how it is called is not known here
        return
    values = {
        "sentence": event.sentence,
        "service": event.service.name,
        "aggregate": event.aggregate,
        "event_class": event.event_class,
        "events_module": module_of(event.file),
        "mapper_module": module_of(event.files.mapper),
        "mapper": mapper.function.name.value,
        "channel": f"{system.channels.name}.{event.type_name}",
    }
    system.create("event/test.py.j2", path, internal=event.internal, **values, **payload)
