"""`domainstream check`."""

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import Debug, argument, local_command, option
from domainstream.cli.common.terminal import Terminal
from domainstream.text import printable
from domainstream.tools.common.formatting import plural

FORMAT_NAMES: Final = ("text", "json", "github", "sarif")
"""The formats that `tools.check.formats` writes, repeated here because importing it loads the analyser."""


def _codes(_context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Split `DS101,DS2`, and reject what is not the beginning of a code."""
    from domainstream.tools.check.engine import RULES

    codes = tuple(code.strip().upper() for value in values for code in value.split(",") if code.strip())
    unknown = [code for code in codes if not any(rule.code.startswith(code) for rule in RULES)]
    if unknown:
        raise click.BadParameter(f"no rule is called {unknown[0]}; all are in docs/rules", param=option)
    return codes


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOptions:
    """The options of `check`."""

    path: Annotated[
        Path | None, argument(type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
    ]
    """The folder of the system; None for the nearest one."""

    output_format: Annotated[
        str,
        option("--format", type=click.Choice(FORMAT_NAMES), default="text", show_default=True),
        option("--json", flag_value="json", help="Same as --format json."),
    ]
    """The format of the findings."""

    select: Annotated[
        tuple[str, ...],
        option("--select", multiple=True, callback=_codes, metavar="CODES", help="Only these rules: DS101, or DS1."),
    ]
    """The beginnings of the codes to report; empty for all."""

    ignore: Annotated[
        tuple[str, ...],
        option("--ignore", multiple=True, callback=_codes, metavar="CODES", help="All but these rules."),
    ]
    """The beginnings of the codes not to report."""

    fix: Annotated[
        bool, option("--fix", is_flag=True, help="Fix what can be fixed: missing @final, missing [] subscriptions.")
    ]
    """Whether fixable findings are fixed first."""

    quiet: Annotated[bool, option("-q", "--quiet", is_flag=True, help="Print no summary.")]
    """Whether no summary is printed."""

    debug: Debug
    """Whether an error shows its traceback."""


@local_command(CheckOptions)
def check(terminal: Terminal, options: CheckOptions) -> int:
    """Prove that channels, events, mappers, subscriptions and consumers fit together.

    Reads the system in the folder PATH without importing or running any of it; the default is this folder, or the
    nearest system above it. The file domainstream.toml says where its parts are. Findings go to stdout, the summary to
    stderr.

    Exit codes: 0 clean, 1 findings, 2 wrong usage, 4 no project there.
    """
    from domainstream.tools.check.engine import RULES, findings_of
    from domainstream.tools.check.fixing import fix, planned_fixes
    from domainstream.tools.check.formats import FORMATS
    from domainstream.tools.check.project import read_project
    from domainstream.tools.check.settings import system_at

    root = system_at(options.path)
    fixable_codes = {rule.code for rule in RULES if rule.fixable}
    # Reading creates no reference cycles, and searching for them takes a third of the time.
    gc.disable()
    try:
        changed = fix(root, options.select, options.ignore) if options.fix else []
        project = read_project(root)
        found = [
            finding
            for finding in findings_of(project)
            if finding.code.startswith(options.select or "") and not finding.code.startswith(options.ignore)
        ]
        fixes = planned_fixes(project, found)
        unfixable = {path: result for path, result in fixes.items() if isinstance(result, str)}
        findings = [
            replace(
                finding,
                # Editors and GitHub find the file from the current folder.
                location=finding.location._replace(path=printable((root / finding.path).as_posix())),
                message=printable(finding.message),
                fix=printable(finding.fix + (f" (by hand: --fix cannot, because {why})" if why else "")),
            )
            for finding, why in ((each, unfixable.get(each.path, "") * (each.code in fixable_codes)) for each in found)
        ]
    finally:
        gc.enable()
    # Without findings, the formats text and github are empty, and print no empty line either.
    if text := FORMATS[options.output_format](findings):
        click.echo(text)
    for path in changed:
        terminal.say(f"fixed {(root / path).as_posix()}")
    fixable = sum(each.code in fixable_codes and each.path not in unfixable for each in found)
    hint = f", {fixable} of them can be fixed with --fix" if fixable else ""
    said = f"{plural(len(findings), 'finding')}{hint}" if findings else "nothing to report"
    terminal.say(f"{plural(len(project.services), 'service')}: {said}")
    return exits.FAILED if findings else exits.OK
