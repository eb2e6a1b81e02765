"""Comments that ignore a rule on a line: they need a reason and a need."""

from pathlib import Path

import pytest
from support.checking import EVENTS, small_system, write_system

from domainstream.tools.check import check_project

CLASS = "@final\nclass StayCreated(BaseEvent[StayPayload]):"


def codes_with(root: Path, line: str, **settings: str) -> list[str]:
    """Return what is found when the event class begins with `line`, without @final."""
    toml = "".join(f"{name} = {value}\n" for name, value in settings.items())
    text = small_system()[EVENTS].replace(CLASS, line)
    system = small_system() | {EVENTS: text, "domainstream.toml": toml}
    return [finding.code for finding in check_project(write_system(root, system))]


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("class StayCreated(BaseEvent[StayPayload]):", ["DS202"]),
        ("class StayCreated(BaseEvent[StayPayload]):  # domainstream: ignore[DS202] mocked", []),
        ("class StayCreated(BaseEvent[StayPayload]):  #domainstream:ignore[DS202]: mocked", []),
        ("# domainstream: ignore[DS202] mocked\nclass StayCreated(BaseEvent[StayPayload]):", []),
        ("# domainstream: ignore[DS202] mocked\n\nclass StayCreated(BaseEvent[StayPayload]):", ["DS004", "DS202"]),
        ("class StayCreated(BaseEvent[StayPayload]):  # noqa: X # domainstream: ignore[DS202] mocked", []),
        ("class StayCreated(BaseEvent[StayPayload]):  # domainstream: ignore[DS202]", ["DS003"]),
        ("class StayCreated(BaseEvent[StayPayload]):  # domainstream: ignore[DS203] mocked", ["DS202", "DS004"]),
        ("class StayCreated(BaseEvent[StayPayload]):  # domainstream: ignore[DS202, DS203] mocked", ["DS004"]),
        ("class StayCreated(BaseEvent[StayPayload]):  # domainstream: ignore", ["DS202", "DS003"]),
        ("class StayCreated(BaseEvent[StayPayload]):  # domainstream: ignore[] why", ["DS202", "DS003"]),
    ],
)
def test_comment_ignores_what_it_names_on_its_line(line: str, codes: list[str], tmp_path: Path) -> None:
    """An ignore comment is about its line, or the next if it is alone, and needs a rule, a reason and a finding."""
    assert sorted(codes_with(tmp_path, line)) == sorted(codes)


def test_words_in_a_string_are_not_a_comment(tmp_path: Path) -> None:
    """The words of an ignore comment inside a string ignore nothing and are not reported as an unused comment."""
    text = small_system()[EVENTS] + 'TEXT = """\n# domainstream: ignore[DS202] mocked\n"""\n'
    assert check_project(write_system(tmp_path, small_system() | {EVENTS: text})) == []


def test_settings_ignore_a_rule_everywhere(tmp_path: Path) -> None:
    """The setting `ignore` drops a rule's findings in all files, by its code or by the beginning of its code."""
    assert codes_with(tmp_path, "class StayCreated(BaseEvent[StayPayload]):", ignore='["DS2"]') == []
