"""`domainstream check`: its options."""

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.exit_handling import end_well
from domainstream.cli.common.formatting import printable
from domainstream.cli.common.terminal import Terminal
from domainstream.tools.check.engine import findings_of
from domainstream.tools.check.findings import Finding
from domainstream.tools.check.fixing import fix
from domainstream.tools.check.formats import FORMATS
from domainstream.tools.check.project import read_project
from domainstream.tools.check.rules.table import RULES
from domainstream.tools.check.settings import nearest_system


class _Wanted(NamedTuple):
    form: str
    select: tuple[str, ...]
    ignore: tuple[str, ...]


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _codes(_context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Split `DS101,DS2` and refuse what is no beginning of any code."""
    codes = tuple(code.strip().upper() for one in given for code in one.split(",") if code.strip())
    unknown = [code for code in codes if not any(rule.code.startswith(code) for rule in RULES)]
    if unknown:
        raise click.BadParameter(f"no rule is called {unknown[0]}; all are in docs/rules", param=option)
    return codes


@click.command()
@click.argument("path", type=_FOLDER, required=False)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("--select", multiple=True, callback=_codes, metavar="CODES", help="Only these rules: DS101, or DS1.")
@click.option("--ignore", multiple=True, callback=_codes, metavar="CODES", help="All but these rules.")
@click.option("--fix", "mend", is_flag=True, help="Mend what can be mended: missing @final, missing [] subscriptions.")
@click.option("-q", "--quiet", is_flag=True, help="Print no summary.")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.pass_context
def check(context: click.Context, /, path: Path | None, *, mend: bool, quiet: bool, debug: bool, **given: Any) -> None:
    """Prove that channels, events, mappers, subscriptions and consumers fit together.

    Reads the system whose folder is PATH, by default this one or the nearest above it, without importing or running any
    of it. Where its parts are is said in domainstream.toml. Findings go to stdout, the summary to stderr.

    Exit codes: 0 clean, 1 findings, 2 wrong usage.
    """
    wanted = _Wanted(**given)
    root = nearest_system(Path()) if path is None else path
    terminal = Terminal(quiet=quiet)
    context.exit(end_well(lambda: _check(root, wanted, terminal, mend=mend), terminal, debug=debug))


def _check(root: Path, wanted: _Wanted, terminal: Terminal, *, mend: bool) -> int:
    # What is read here makes no circles of references, and looking for them takes a third of the time.
    gc.disable()
    try:
        changed = fix(root, wanted.select, wanted.ignore) if mend else []
        project = read_project(root)
        findings = [_seen_from_here(one, root) for one in chosen(findings_of(project), wanted.select, wanted.ignore)]
    finally:
        gc.enable()
    # Without findings, text and GitHub's commands are nothing, and not an empty line either.
    if text := FORMATS[wanted.form](findings):
        click.echo(text)
    for one in changed:
        terminal.say(f"mended {printable((root / one).as_posix())}")
    terminal.say(_summary(findings, len(project.services)))
    return exits.FAILED if findings else exits.OK


def chosen(findings: list[Finding], select: tuple[str, ...], ignore: tuple[str, ...]) -> list[Finding]:
    """Return the findings whose codes begin with one of `select`, if there are any, and with none of `ignore`."""
    return [one for one in findings if one.code.startswith(select or "") and not one.code.startswith(ignore)]


def _seen_from_here(finding: Finding, root: Path) -> Finding:
    """Name the file so that editors and GitHub find it from the folder the command was typed in."""
    location = finding.location._replace(path=printable((root / finding.path).as_posix()))
    return replace(finding, location=location, message=printable(finding.message), fix=printable(finding.fix))


def _summary(findings: list[Finding], services: int) -> str:
    noun = "service" if services == 1 else "services"
    if not findings:
        return f"{services} {noun}: nothing to report"
    fixable = {rule.code for rule in RULES if rule.fixable}
    mendable = sum(finding.code in fixable for finding in findings)
    hint = f", {mendable} of them can be mended with --fix" if mendable else ""
    return f"{services} {noun}: {len(findings)} finding{'s' * (len(findings) > 1)}{hint}"
