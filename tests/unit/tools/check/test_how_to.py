"""The page `docs/how-to/check-a-system.md` is true."""

import re
import tomllib
from dataclasses import asdict
from pathlib import Path

from click import Option
from support.checking import EVENTS, small_system, write_system

from domainstream.cli.check import check
from domainstream.tools.check import CheckSettings, check_project
from domainstream.tools.check.formats import FORMATS

PAGE = (Path(__file__).parents[4] / "docs/how-to/check-a-system.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the page's first code in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_settings_are_all_there_with_their_defaults() -> None:
    """The page shows every setting with the default that applies without a file."""
    shown = {
        name: tuple(value) if isinstance(value, list) else value for name, value in tomllib.loads(block("toml")).items()
    }
    assert shown == asdict(CheckSettings())


def test_options_are_all_there() -> None:
    """The page names every option and every format of `check`."""
    options = {name for option in check.params if isinstance(option, Option) for name in option.opts}
    assert [name for name in options - {"--quiet"} if f"`{name}" not in PAGE] == []
    assert "--format " + r"\|".join(FORMATS) in PAGE


def test_comment_ignores_its_rule(tmp_path: Path) -> None:
    """The page's example of an ignore comment works as it is written."""
    line, _ = block("python").splitlines()
    text = small_system()[EVENTS].replace("@final\nclass StayCreated(BaseEvent[StayPayload]):", line)
    assert line in text
    assert check_project(write_system(tmp_path, small_system() | {EVENTS: text})) == []
