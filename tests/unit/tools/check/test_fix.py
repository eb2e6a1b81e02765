"""`check --fix`: adds what is missing, changes nothing else, and leaves what a comment ignores."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.checking import EVENTS, SUBSCRIPTIONS, example, small_system, write_system

from domainstream.cli.main import cli
from domainstream.tools.check import check_project
from domainstream.tools.check.fixing import Insertion, fix

IMPORTS = "from enum import StrEnum\nfrom typing import final\n"


def two_channels() -> dict[str, str]:
    """Return a clean system with two channels."""
    return small_system() | example("DS401", "Good")


def unfinal(imports: str) -> str:
    """Return the file of events without `@final`, and with other imports of the standard library."""
    text = small_system()[EVENTS]
    assert IMPORTS in text
    return text.replace(IMPORTS, imports).replace("@final\n", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from enum import StrEnum\n", "from enum import StrEnum\nfrom typing import final\n"),
        (
            "from enum import StrEnum\nfrom typing import final\n",
            "from enum import StrEnum\nfrom typing import final\n",
        ),
        (
            "from enum import StrEnum\nfrom typing import Any, get_args\n",
            "from enum import StrEnum\nfrom typing import Any, final, get_args\n",
        ),
        (
            "from enum import StrEnum\nfrom typing import Any, assert_never  # both\n",
            "from enum import StrEnum\nfrom typing import Any, assert_never, final  # both\n",
        ),
        (
            "from enum import StrEnum\nfrom typing import (\n    Any,\n    get_args,\n)\n",
            "from enum import StrEnum\nfrom typing import (\n    Any,\n    final,\n    get_args,\n)\n",
        ),
        (
            "from enum import StrEnum\nfrom typing import (\n    Annotated,\n    Any,\n)\n",
            "from enum import StrEnum\nfrom typing import (\n    Annotated,\n    Any,\n    final,\n)\n",
        ),
        (
            "from enum import StrEnum\nfrom uuid import UUID\n",
            "from enum import StrEnum\nfrom typing import final\nfrom uuid import UUID\n",
        ),
        (
            '"""What happens."""\n\nfrom __future__ import annotations\n\nimport enum\nfrom enum import StrEnum\n',
            (
                '"""What happens."""\n\nfrom __future__ import annotations\n\nimport enum\nfrom enum import StrEnum\n'
                "from typing import final\n"
            ),
        ),
    ],
)
def test_missing_final_is_added_with_its_import(before: str, after: str, tmp_path: Path) -> None:
    """`--fix` adds `@final`, imports it where ruff sorts it, and leaves the rest of the file as it was."""
    write_system(tmp_path, small_system() | {EVENTS: unfinal(before)})
    assert fix(tmp_path) == [EVENTS]
    assert (tmp_path / EVENTS).read_text() == small_system()[EVENTS].replace(IMPORTS, after)
    assert check_project(tmp_path) == []


@pytest.mark.parametrize("module", [".typing", "..typing", "coding.typing"])
def test_module_of_ones_own_that_is_called_typing_is_left_alone(module: str, tmp_path: Path) -> None:
    """`--fix` adds its own import of `final` beside an import from another module whose name is `typing`."""
    own = f"from {module} import Money\n"
    write_system(tmp_path, small_system() | {EVENTS: unfinal(f"from enum import StrEnum\n\n{own}")})
    assert fix(tmp_path) == [EVENTS]
    text = (tmp_path / EVENTS).read_text()
    assert f"from enum import StrEnum\nfrom typing import final\n\n{own}" in text
    assert check_project(tmp_path) == []


def test_final_goes_between_other_decorators_and_the_class(tmp_path: Path) -> None:
    """`@final` is added directly above the class, below its other decorators and comments."""
    text = small_system()[EVENTS].replace("@final\n", "@register\n# a remark\n")
    write_system(tmp_path, small_system() | {EVENTS: text})
    fix(tmp_path)
    assert "@register\n# a remark\n@final\nclass StayCreated(" in (tmp_path / EVENTS).read_text()


HEAD = (
    "from contracts.event_publisher_channels import Channel as C\n"
    "from domainstream.subscriber import create_multiple_handlers, to_queue\n\n"
)
CREATED = 'C.DOMAIN_CODING_STAY_CREATED: [to_queue("coding", job="record-stay")]'
CLOSED = "C.DOMAIN_CODING_STAY_CLOSED: []"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{{\n        {CREATED},\n    }}", f"{{\n        {CREATED},\n        {CLOSED},\n    }}"),
        (f"{{\n        {CREATED}\n    }}", f"{{\n        {CREATED},\n        {CLOSED},\n    }}"),
        (
            f"{{\n        {CREATED},  # the archive, too\n    }}",
            f"{{\n        {CREATED},  # the archive, too\n        {CLOSED},\n    }}",
        ),
        (
            f"{{\n        {CREATED}  # no, comma\n    }}",
            f"{{\n        {CREATED},  # no, comma\n        {CLOSED},\n    }}",
        ),
        (f"{{{CREATED}}}", f"{{{CREATED}, {CLOSED}}}"),
        (f"{{{CREATED}, }}", f"{{{CREATED}, {CLOSED} }}"),
        (
            f"{{{CREATED.replace('[', '([').replace(']', '])')}}}",
            f"{{{CREATED.replace('[', '([').replace(']', '])')}, {CLOSED}}}",
        ),
        (
            f"{{\n        {CREATED.replace('[', '([').replace(']', '])')}  # one\n    }}",
            f"{{\n        {CREATED.replace('[', '([').replace(']', '])')},  # one\n        {CLOSED},\n    }}",
        ),
        (f"{{\n    # äöü\n  {CREATED},\n  # end\n}}", f"{{\n    # äöü\n  {CREATED},\n  # end\n  {CLOSED},\n}}"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_missing_subscription_is_added(before: str, after: str, line_end: str, tmp_path: Path) -> None:
    """A missing channel is added last in the table, in its style, under the name that the file gives the enum."""
    text = f"{HEAD}subscriptions = create_multiple_handlers({before})\n".replace("\n", line_end)
    write_system(tmp_path, two_channels() | {SUBSCRIPTIONS: text})
    assert fix(tmp_path) == [SUBSCRIPTIONS]
    written = (tmp_path / SUBSCRIPTIONS).read_bytes().decode()
    assert written == f"{HEAD}subscriptions = create_multiple_handlers({after})\n".replace("\n", line_end)
    assert check_project(tmp_path) == []


def test_empty_table_gets_all_entries(tmp_path: Path) -> None:
    """An empty table gets an entry for every channel, in the order of the enum."""
    text = f"{HEAD.replace(' as C', '')}subscriptions = create_multiple_handlers({{}})\n"
    write_system(tmp_path, two_channels() | {SUBSCRIPTIONS: text})
    fix(tmp_path)
    table = "{Channel.DOMAIN_CODING_STAY_CREATED: [], Channel.DOMAIN_CODING_STAY_CLOSED: []}"
    assert (tmp_path / SUBSCRIPTIONS).read_text().endswith(f"create_multiple_handlers({table})\n")
    assert check_project(tmp_path) == []


def test_ignored_findings_are_not_fixed(tmp_path: Path) -> None:
    """Findings that a comment, --ignore or --select leaves out are not fixed."""
    line = "class StayCreated(BaseEvent[StayPayload]):"
    ignored = unfinal(IMPORTS).replace(line, f"{line}  # domainstream: ignore[DS202] mocked")
    write_system(tmp_path, small_system() | {EVENTS: ignored})
    assert fix(tmp_path) == []
    write_system(tmp_path, {EVENTS: unfinal(IMPORTS)})
    assert fix(tmp_path, ignore=("DS2",)) == []
    assert fix(tmp_path, select=("DS4",)) == []
    assert fix(tmp_path, select=("DS2",)) == [EVENTS]


def test_command_reports_what_it_fixed(tmp_path: Path) -> None:
    """`check --fix` reports each file that it fixed, and a second run fixes nothing."""
    write_system(tmp_path, small_system() | {EVENTS: unfinal("from enum import StrEnum\n")})
    first = CliRunner().invoke(cli, ["check", str(tmp_path), "--fix"])
    assert first.exit_code == 0
    assert first.stdout == ""
    assert first.stderr == f"fixed {(tmp_path / EVENTS).as_posix()}\n1 service: nothing to report\n"
    second = CliRunner().invoke(cli, ["check", str(tmp_path), "--fix"])
    assert second.stderr == "1 service: nothing to report\n"


def test_byte_order_mark_stays_first(tmp_path: Path) -> None:
    """An import that is added at the top of a file is inserted after the byte order mark."""
    text = "\ufeff" + unfinal("").lstrip().replace("(StrEnum)", "(str)")
    write_system(tmp_path, small_system() | {EVENTS: text})
    assert fix(tmp_path) == [EVENTS]
    written = (tmp_path / EVENTS).read_bytes().decode()
    assert written.startswith("\ufefffrom typing import final\n\n")
    assert check_project(tmp_path) == []


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8", "euc-jp"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_file_of_another_encoding_is_fixed(tmp_path: Path, encoding: str, line_end: str) -> None:
    """A file with a coding cookie is fixed at the right place, and keeps its encoding and its line ends."""
    head = f"# -*- coding: {encoding} -*-\n# {'ä' if encoding != 'euc-jp' else '日本'}\n"
    text = head + unfinal("from enum import StrEnum\n")
    fixed = head + small_system()[EVENTS]
    write_system(tmp_path, small_system() | {EVENTS: text.replace("\n", line_end).encode(encoding)})
    assert fix(tmp_path) == [EVENTS]
    assert (tmp_path / EVENTS).read_bytes() == fixed.replace("\n", line_end).encode(encoding)
    assert check_project(tmp_path) == []


def with_a_name_beyond_ascii(tmp_path: Path) -> None:
    """Write a system with a missing subscription whose name the file of subscriptions cannot have."""
    files = {path: text.replace("STAY_CLOSED", "STAY_CLÖSED") for path, text in two_channels().items()}
    line = "Channel.DOMAIN_CODING_STAY_CREATED: [to_queue('coding', job='record-stay')]"
    table = f"# coding: ascii\n{HEAD.replace(' as C', '')}subscriptions = create_multiple_handlers({{{line}}})\n"
    write_system(tmp_path, files | {SUBSCRIPTIONS: table})


def without_final(tmp_path: Path) -> None:
    """Write a system with a class that is not final."""
    write_system(tmp_path, small_system() | {EVENTS: unfinal("from enum import StrEnum\n")})


def read_only(tmp_path: Path) -> None:
    """Write a system with a class that is not final in a file that is not to be written."""
    without_final(tmp_path)
    (tmp_path / EVENTS).chmod(0o444)


FIXING = "domainstream.tools.check.fixing"


@pytest.mark.parametrize(
    ("write", "place", "replacement", "why"),
    [
        (with_a_name_beyond_ascii, "", None, "the names are not in the file's encoding, ascii"),
        (read_only, "", None, "the file is read-only"),
        (without_final, f"{FIXING}._insertions", lambda *_: iter(()), "the table is not written out there"),
        (without_final, f"{FIXING}._insertions", lambda *_: [Insertion(0, "(")], "the code has a form that"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--fix"]])
def test_only_what_can_be_fixed_is_promised(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], None],
    place: str,
    replacement: object,
    why: str,
    options: list[str],
) -> None:
    """A finding that `--fix` cannot fix says why, nothing is written, and the exit code is 1."""
    write(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    if place:
        monkeypatch.setattr(place, replacement)
    result = CliRunner().invoke(cli, ["check", str(tmp_path), *options])
    assert result.exit_code == 1
    assert f"(by hand: --fix cannot, because {why}" in result.stdout
    assert "can be fixed with --fix" not in result.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.py")} == before


def test_alias_of_final_does_not_replace_its_import(tmp_path: Path) -> None:
    """`--fix` imports `final` where a file has it only under another name, or all of a module."""
    for line in ("from typing import final as sealed\n", "from typing import *\n"):
        write_system(tmp_path, small_system() | {EVENTS: unfinal(f"from enum import StrEnum\n{line}")})
        assert fix(tmp_path) == [EVENTS]
        compile((tmp_path / EVENTS).read_bytes(), EVENTS, "exec")
        assert check_project(tmp_path) == []
