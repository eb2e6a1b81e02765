"""`domainstream new`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import click

from domainstream.cli.common.command import argument, local_command, option
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import MissingExtraError

_FIELDS = """A FIELD is name:type; the type is str, int, float, bool, decimal, date, datetime, uuid, or a list[...] of
one of them. A ? at the end makes it optional. Quote a field with brackets or a ?: 'codes:list[str]'."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeOptions:
    """The options of every command that changes a project."""

    show: Annotated[
        str | None,
        option("--json", flag_value="json", help="Print the diff and its files as one JSON object."),
        option("-q", "--quiet", flag_value="nothing", help="Do not print the diff."),
    ]
    """`json`, `nothing`, or None for the diff."""

    dry_run: Annotated[bool, option("--dry-run", is_flag=True, help="Print the diff, but change nothing.")]
    """Whether nothing is changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectOptions(ChangeOptions):
    """The options of `new project`."""

    folder: Annotated[Path, argument(metavar="DIR", type=click.Path(file_okay=False, path_type=Path))]
    """The folder of the new project."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InProjectOptions(ChangeOptions):
    """The options of every command that changes an existing project."""

    folder: Annotated[
        Path,
        option(
            "--project",
            default=".",
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="The project; default: this folder or the nearest one above it.",
        ),
    ]
    """A folder of the project."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceOptions(InProjectOptions):
    """The options of `new service`."""

    name: Annotated[str, argument()]
    """The service's name."""

    outbox: Annotated[
        bool,
        option(
            "--outbox", is_flag=True, help="Store the service's events in its database, in the transaction of the data."
        ),
    ]
    """Whether it has an outbox instead of a producer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventOptions(InProjectOptions):
    """The options of `new event`."""

    service: Annotated[str, argument()]
    """The service that publishes the event."""

    aggregate: Annotated[str, argument()]
    """The aggregate that the event belongs to."""

    event: Annotated[str, argument()]
    """The event's name, in the past tense."""

    fields: Annotated[tuple[str, ...], argument(nargs=-1, metavar="[FIELD]...")]
    """The fields of the payload."""

    internal: Annotated[
        bool, option("--internal", is_flag=True, help="Keep it inside the service: mapped to None, without a channel.")
    ]
    """Whether it is not published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriberOptions(InProjectOptions):
    """The options of `new subscriber`."""

    channel: Annotated[str, argument()]
    """The channel."""

    queue: Annotated[str, argument()]
    """The queue that gets the channel's events."""

    service: Annotated[
        str | None,
        option("--service", metavar="NAME", help="The service that works the queue; default: the one named like it."),
    ]
    """The service that works the queue; None for the one named like it."""

    job: Annotated[str | None, option("--job", metavar="NAME", help="The jobs' name; default: handle-EVENT.")]
    """The jobs' name; None for `handle-EVENT`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderOptions(InProjectOptions):
    """The options of `new reader`."""

    service: Annotated[str, argument()]
    """The service that reads the event."""

    event: Annotated[str, argument()]
    """The event's type, or its channel."""

    fields: Annotated[
        str | None,
        option("--fields", metavar="NAME,...", help="Only these fields, such as stay_id,ward.name; default: all."),
    ]
    """The fields that the service reads; None for all."""


@click.group()
def new() -> None:
    """Generate projects, services, events, subscribers and readers.

    Every command prints its changes as a diff to stdout, changes nothing when it is run again, and refuses what
    `domainstream check` would reject. Names may be in kebab, snake or Pascal case.

    Exit codes: 0 done, or nothing to do; 1 a rule forbids it; 2 wrong usage; 4 a name does not exist.
    """


@local_command(ProjectOptions, group=new, error_prefix="")
def project(terminal: Terminal, options: ProjectOptions) -> None:
    """Make a project in DIR: the guide's layout, without services yet."""
    with _needs_extra():
        from domainstream.tools.scaffold.project import plan_project

        _apply(plan_project(options.folder), terminal, options)
        _suggest(options, f"cd {options.folder}; domainstream new service NAME")


@local_command(ServiceOptions, group=new, error_prefix="")
def service(terminal: Terminal, options: ServiceOptions) -> None:
    """Make the service NAME: domain layer, mapper, consumer, queue and tests."""
    with _needs_extra():
        from domainstream.tools.scaffold.project import plan_service
        from domainstream.tools.scaffold.system import System

        system = System.around(options.folder)
        plan_service(system, options.name, outbox=options.outbox)
        _apply(system.plan, terminal, options)
        _suggest(options, f"domainstream new event {options.name} AGGREGATE EVENT [field:type ...]")


@local_command(EventOptions, group=new, error_prefix="", epilog=_FIELDS)
def event(terminal: Terminal, options: EventOptions) -> None:
    """Make an EVENT of a service's AGGREGATE, from its class to its channel.

    Writes the event's type, payload and class, the union, the channel, its subscription `[]`, the mapper's case, and a
    test. EVENT is in the past tense: evaluated.
    """
    with _needs_extra():
        from domainstream.tools.scaffold.event import plan_event, read_event
        from domainstream.tools.scaffold.payload import parse_fields
        from domainstream.tools.scaffold.system import System

        system = System.around(options.folder)
        fields = parse_fields(options.fields)
        meant = read_event(system, options.service, options.aggregate, options.event, fields, internal=options.internal)
        plan_event(system, meant)
        _apply(system.plan, terminal, options)
        if not options.internal:
            _suggest(options, f"domainstream new subscriber {meant.type_name.lower()} QUEUE")


@local_command(SubscriberOptions, group=new, error_prefix="")
def subscriber(terminal: Terminal, options: SubscriberOptions) -> None:
    """Subscribe QUEUE to CHANNEL, and handle its events in the queue's service.

    Writes the subscription, the names of queue and job, a handler in the queue's consumer, and a test of it.
    """
    with _needs_extra():
        from domainstream.tools.scaffold.subscriber import plan_subscriber, read_subscriber
        from domainstream.tools.scaffold.system import System

        system = System.around(options.folder)
        meant = read_subscriber(system, options.channel, options.queue, service=options.service, job=options.job)
        left = plan_subscriber(system, meant)
        _apply(system.plan, terminal, options)
        for step in left or ["python -m pytest"]:
            _suggest(options, step)


@local_command(ReaderOptions, group=new, error_prefix="")
def reader(terminal: Terminal, options: ReaderOptions) -> None:
    """Make a class by which SERVICE reads another service's EVENT, from the event's contract.

    The contract is contracts/{owner}.json, or the owner's class where it is in this project. Fields that the class does
    not name are ignored, so the owner may add and change them.
    """
    with _needs_extra():
        from domainstream.tools.scaffold.reader import plan_reader
        from domainstream.tools.scaffold.system import System

        system = System.around(options.folder)
        fields = None if options.fields is None else options.fields.split(",")
        event_type = plan_reader(system, options.service, options.event, fields)
        _apply(system.plan, terminal, options)
        _suggest(options, f"domainstream new subscriber {event_type} QUEUE")


@contextmanager
def _needs_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name in {"libcst", "jinja2"}:
            raise MissingExtraError("`domainstream new`", "cli") from None
        raise


def _apply(plan: Any, terminal: Terminal, options: ChangeOptions) -> None:
    from domainstream.tools.scaffold.plan import apply

    applied = apply(plan, dry_run=options.dry_run)
    if options.show == "json":
        click.echo(applied.as_json())
    elif options.show is None:
        terminal.text(applied.diff)
    terminal.say(applied.summary(dry_run=options.dry_run))
    if applied.needs_snapshot:
        _suggest(options, "domainstream schema snapshot")


def _suggest(options: ChangeOptions, step: str) -> None:
    """Say what comes next; nothing after a dry run, which has made nothing to go on with."""
    if not options.dry_run:
        click.echo(f"next: {step}", err=True)
