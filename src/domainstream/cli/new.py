"""`domainstream new`: its commands and their options."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import click

from domainstream.cli.common.exit_codes import FAILED, NOT_FOUND, USAGE
from domainstream.errors import DomainStreamError, MissingExtraError
from domainstream.tools.scaffold.errors import MisspeltError, UnknownNameError

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_FIELDS = """A FIELD is name:type, the type one of str, int, float, bool, decimal, date, datetime, uuid, or list[...] of
one. With a ? at its end it may be missing. Put what has brackets or a ? in quotes: 'codes:list[str]'."""


@click.group()
def new() -> None:
    """Write projects, services, events and subscribers.

    Every command shows what it changes as a diff on stdout, changes nothing when it is typed again, and refuses what
    `domainstream check` would refuse. Names may be typed in kebab, snake or Pascal case.

    Exit codes: 0 done, or there was nothing to do; 1 a rule refuses it; 2 it is misspelt; 4 what it names is not there.
    """


def _changing(command: CommandT) -> CommandT:
    """Add what all commands have that change a project."""
    command = click.option("--dry-run", is_flag=True, help="Show the diff, change nothing.")(command)
    command = click.option("--json", "show", flag_value="json", help="Show the diff and its files as one object.")(
        command
    )
    return click.option("-q", "--quiet", "show", flag_value="nothing", help="Do not show the diff.")(command)


def _in_project(command: CommandT) -> CommandT:
    """Add where the project is."""
    return click.option(
        "--project",
        "folder",
        default=".",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="The project, if not this folder or one above it.",
    )(command)


@new.command(short_help="Make a project.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@_changing
def project(folder: Path, *, dry_run: bool, show: str | None) -> None:
    """Make a project in DIR: the guide's layout, without services yet."""
    with _Telling() as telling:
        from domainstream.tools.scaffold.project import plan_project  # noqa: PLC0415 - `--help` answers without libcst

        telling.finish(plan_project(folder), dry_run=dry_run, show=show)
        telling.next(f"cd {folder}; domainstream new service NAME")


@new.command(short_help="Make a service.")
@click.argument("name")
@_in_project
@_changing
def service(name: str, *, folder: Path, dry_run: bool, show: str | None) -> None:
    """Make the service NAME: domain layer, mapper, consumer, queue and tests."""
    with _Telling() as telling:
        from domainstream.tools.scaffold.service import plan_service  # noqa: PLC0415 - as above
        from domainstream.tools.scaffold.system import System  # noqa: PLC0415 - as above

        system = System.around(folder)
        plan_service(system, name)
        telling.finish(system.plan, dry_run=dry_run, show=show)
        telling.next(f"domainstream new event {name} AGGREGATE EVENT [field:type ...]")


@new.command(short_help="Make an event, from its class to its channel.", epilog=_FIELDS)
@click.argument("service")
@click.argument("aggregate")
@click.argument("event")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@click.option("--internal", is_flag=True, help="It stays inside the service: mapped to None, no channel.")
@_in_project
@_changing
def event(  # noqa: PLR0913 - one parameter for each that is typed
    service: str,
    aggregate: str,
    event: str,
    fields: tuple[str, ...],
    *,
    internal: bool,
    folder: Path,
    dry_run: bool,
    show: str | None,
) -> None:
    """Make an EVENT of a service's AGGREGATE, from its class to its channel.

    Writes the event's type, payload and class, the union, the channel, its subscription `[]`, the mapper's case, and a
    test. EVENT is in the past tense: evaluated.
    """
    with _Telling() as telling:
        from domainstream.tools.scaffold.event import plan_event, read_event  # noqa: PLC0415 - as above
        from domainstream.tools.scaffold.fields import parse_fields  # noqa: PLC0415 - as above
        from domainstream.tools.scaffold.system import System  # noqa: PLC0415 - as above

        system = System.around(folder)
        meant = read_event(system, service, aggregate, event, parse_fields(fields), internal=internal)
        plan_event(system, meant)
        telling.finish(system.plan, dry_run=dry_run, show=show)
        if not internal:
            telling.next(f"domainstream new subscriber {meant.type_name.lower()} QUEUE")


@new.command(short_help="Let a queue hear of a channel, and handle it.")
@click.argument("channel")
@click.argument("queue")
@click.option("--service", metavar="NAME", help="Who works the queue; without, the service of the queue's name.")
@click.option("--job", metavar="NAME", help="What the jobs are called; without, handle-EVENT.")
@_in_project
@_changing
def subscriber(
    channel: str, queue: str, *, service: str | None, job: str | None, folder: Path, dry_run: bool, show: str | None
) -> None:
    """Let QUEUE hear of CHANNEL, and its service handle it.

    Writes the subscription, the names of queue and job, a handler in the queue's consumer, and a test of it.
    """
    with _Telling() as telling:
        from domainstream.tools.scaffold.subscriber import plan_subscriber, read_subscriber  # noqa: PLC0415 - as above
        from domainstream.tools.scaffold.system import System  # noqa: PLC0415 - as above

        system = System.around(folder)
        left = plan_subscriber(system, read_subscriber(system, channel, queue, service=service, job=job))
        telling.finish(system.plan, dry_run=dry_run, show=show)
        for one in left or ["python -m pytest"]:
            telling.next(one)


class _Telling:
    """Tells what is done: the diff to stdout, the rest to stderr, a refusal by its exit code."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ModuleNotFoundError) and error.name in {"libcst", "jinja2"}:
            error = MissingExtraError("`domainstream new`", "cli")
        if isinstance(error, DomainStreamError):
            click.echo(str(error), err=True)
            raise click.exceptions.Exit(_exit_code(error)) from None

    def finish(self, plan: Any, *, dry_run: bool, show: str | None) -> None:
        """Write a plan and show what changed."""
        from domainstream.tools.scaffold.apply import apply  # noqa: PLC0415 - as above

        applied = apply(plan, dry_run=dry_run)
        if show == "json":
            click.echo(applied.as_json())
        elif show is None:
            click.echo(applied.diff, nl=False)
        click.echo(applied.summary(dry_run=dry_run), err=True)
        if applied.needs_snapshot:
            self.next("domainstream schema snapshot")

    def next(self, what: str) -> None:
        """Say what may be typed or done next."""
        click.echo(f"next: {what}", err=True)


def _exit_code(error: DomainStreamError) -> int:
    if isinstance(error, MisspeltError):
        return USAGE
    return NOT_FOUND if isinstance(error, UnknownNameError) else FAILED
