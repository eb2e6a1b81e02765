"""`domainstream schema snapshot`: records payload schemas, for `check` to compare."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import Debug, argument, local_command, option
from domainstream.cli.common.terminal import Terminal
from domainstream.text import printable
from domainstream.tools.common.formatting import plural


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotOptions:
    """The options of `schema snapshot`."""

    path: Annotated[
        Path | None, argument(type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
    ]
    """The folder of the system; None for the nearest one."""

    accept: Annotated[bool, option("--accept", is_flag=True, help="Also write changes that break readers.")]
    """Whether breaking changes are written."""

    check: Annotated[bool, option("--check", is_flag=True, help="Write nothing; list what differs and exit with 1.")]
    """Whether the files are only compared."""

    json: Annotated[bool, option("--json", is_flag=True, help="Print the differences as JSON.")]
    """Whether stdout is JSON."""

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
    With --check, nothing is written: what differs is printed, for CI to fail where a snapshot was not taken.

    Exit codes: 0 done, or nothing differs; 1 refused, or something differs; 2 wrong usage; 4 no project there.
    """
    from domainstream.tools.check.differences import differences_of
    from domainstream.tools.check.project import read_project
    from domainstream.tools.check.rules.contract import published_events
    from domainstream.tools.check.settings import system_at
    from domainstream.tools.check.snapshots import snapshot_texts, write_snapshots

    if options.check and options.accept:
        raise click.UsageError("--check writes nothing, so it cannot --accept anything; use one of the two.")
    root = system_at(options.path)
    project = read_project(root)
    if project.unreadable:
        paths = dict.fromkeys(file.location.path for file in project.unreadable)
        problems = [f"  - {path}" for path in paths]
        advice = "Run domainstream check, and correct what it says about them."
        terminal.error("\n".join(["What these files hold is unknown, so nothing was compared:", *problems, advice]))
        return exits.FAILED
    differences = differences_of(project)
    breaking = [difference for difference in differences if difference.breaks_readers]
    refused = bool(breaking) and not options.accept and not options.check
    changed: list[str] = []
    if not refused and not options.check:
        changed = write_snapshots(project, snapshot_texts(project, published_events(project)))
    written = [(root / path).as_posix() for path in changed]
    if options.json:
        listed = [difference._asdict() for difference in differences]
        click.echo(json.dumps({"written": written, "differences": listed}, indent=2))
    else:
        for line in [str(difference) for difference in differences] if options.check else written:
            click.echo(printable(line))
    if refused:
        changes = [f"  - {difference.message}" for difference in breaking]
        advice = "For what to do, run: domainstream check. To write it nevertheless, add: --accept"
        terminal.error("\n".join(["This breaks readers:", *changes, advice]))
        return exits.FAILED
    if options.check:
        advice = "; run domainstream schema snapshot and commit the files" if differences else ""
        terminal.say(f"{plural(len(differences), 'difference')}{advice}")
        return exits.FAILED if differences else exits.OK
    terminal.say(f"{plural(len(changed), 'file')} written")
    return exits.OK
