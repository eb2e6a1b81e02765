"""`domainstream schema snapshot`: writes down what payloads look like, for `check` to compare."""

from pathlib import Path

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.exit_handling import end_well
from domainstream.cli.common.formatting import printable
from domainstream.cli.common.terminal import Terminal
from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.project import read_project
from domainstream.tools.check.rules.contract import breaking_changes, published_events
from domainstream.tools.check.settings import nearest_system
from domainstream.tools.check.snapshots import Change, write_snapshots

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def schema() -> None:
    """Keep what payloads look like, so that `check` sees what would break their readers."""


@schema.command()
@click.argument("path", type=_FOLDER, required=False)
@click.option("--accept", is_flag=True, help="Write also what breaks readers.")
@click.option("-q", "--quiet", is_flag=True, help="Print no summary.")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.pass_context
def snapshot(context: click.Context, path: Path | None, *, accept: bool, quiet: bool, debug: bool) -> None:
    """Write the payloads of all published events of the system at PATH to contracts/{service}.json.

    PATH is by default this folder or the nearest system above it. The files are to be committed. Refuses to write over
    a change that breaks readers. What changed goes to stdout.

    Exit codes: 0 done, 1 refused, 2 wrong usage.
    """
    root = nearest_system(Path()) if path is None else path
    terminal = Terminal(quiet=quiet)
    context.exit(end_well(lambda: _snapshot(root, terminal, accept=accept), terminal, debug=debug))


def _snapshot(root: Path, terminal: Terminal, *, accept: bool) -> int:
    project = read_project(root)
    breaking = breaking_changes(project)
    if breaking and not accept:
        terminal.error(_refusal(breaking))
        return exits.FAILED
    changed = write_snapshots(project, published_events(project))
    for one in changed:
        click.echo(printable((root / one).as_posix()))
    terminal.say(f"{len(changed)} file{'s' * (len(changed) != 1)} written")
    return exits.OK


def _refusal(breaking: list[tuple[Event, Change]]) -> str:
    changes = [f"  - {event.name}: {change.message}" for event, change in breaking]
    advice = "See what to do: domainstream check. To write it nevertheless, add: --accept"
    return "\n".join(map(printable, ["This breaks readers:", *changes, advice]))
