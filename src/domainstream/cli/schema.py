"""`domainstream schema snapshot`: records payload schemas, for `check` to compare."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import Debug, argument, local_command, option
from domainstream.cli.common.terminal import Terminal
from domainstream.text import printable


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotOptions:
    """The options of `schema snapshot`."""

    path: Annotated[
        Path | None, argument(type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
    ]
    """The folder of the system; None for the nearest one."""

    accept: Annotated[bool, option("--accept", is_flag=True, help="Also write changes that break readers.")]
    """Whether breaking changes are written."""

    quiet: Annotated[bool, option("-q", "--quiet", is_flag=True, help="Print no summary.")]
    """Whether no summary is printed."""

    debug: Debug
    """Whether an error shows its traceback."""


@click.group()
def schema() -> None:
    """Record payload schemas, so that `check` finds breaking changes."""


@local_command(SnapshotOptions, group=schema)
def snapshot(terminal: Terminal, options: SnapshotOptions) -> int:
    """Write the payload schemas of all published events to contracts/{service}.json.

    PATH is the folder of the system; the default is this folder, or the nearest system above it. Commit the files.
    Refuses to overwrite a schema with a change that breaks readers. The files that changed are printed to stdout.

    Exit codes: 0 done, 1 refused, 2 wrong usage, 4 no project there.
    """
    from domainstream.tools.check.project import read_project
    from domainstream.tools.check.rules.contract import breaking_changes, published_events
    from domainstream.tools.check.settings import system_at
    from domainstream.tools.check.snapshots import write_snapshots

    root = system_at(options.path)
    project = read_project(root)
    breaking = breaking_changes(project)
    if breaking and not options.accept:
        changes = [f"  - {event.name}: {change.message}" for event, change in breaking]
        advice = "For what to do, run: domainstream check. To write it nevertheless, add: --accept"
        terminal.error("\n".join(["This breaks readers:", *changes, advice]))
        return exits.FAILED
    changed = write_snapshots(project, published_events(project))
    for path in changed:
        click.echo(printable((root / path).as_posix()))
    terminal.say(f"{len(changed)} file{'s' * (len(changed) != 1)} written")
    return exits.OK
