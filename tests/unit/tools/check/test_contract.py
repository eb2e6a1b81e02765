"""The contract: which changes of a payload break its readers, who they are, and what makes a change safe."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.checking import CONSUMER, EVENTS, MAPPER, SUBSCRIPTIONS, small_system, write_system

from domainstream.cli.main import cli
from domainstream.tools.check import Finding, check_project

HEAD = """
import datetime
import typing as t
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Annotated, List, Literal, NewType, NotRequired, Optional, TypeAlias, TypedDict, Union, final

import msgspec
from msgspec import Meta

from domainstream import BaseEvent, EventPayload


class StayEventType(StrEnum):
    DOMAIN_CODING_STAY_CREATED = "domain_coding_stay_created"

"""

EVENT = """

@final
class StayCreated(BaseEvent[StayPayload]):
    event_type = StayEventType.DOMAIN_CODING_STAY_CREATED
"""


def events(payload: str, version: str = "") -> str:
    """Return the file of events with a payload."""
    return f"{HEAD}\n{payload}{EVENT}{version}"


def fields(*lines: str) -> str:
    """Return a payload with these fields."""
    return "class StayPayload(EventPayload):\n" + "".join(f"    {line}\n" for line in lines)


def snapshot(root: Path, *options: str) -> Result:
    """Run `domainstream schema snapshot`."""
    return CliRunner().invoke(cli, ["schema", "snapshot", str(root), *options])


def changed(root: Path, before: str, after: str, consumer: str | None = None) -> list[Finding]:
    """Return the findings once the payload, written down as `before`, has become `after`."""
    write_system(root, small_system() | {EVENTS: events(before)})
    assert check_project(root) == []
    assert snapshot(root).exit_code == 0
    assert check_project(root) == []
    files = {EVENTS: events(after)} | ({} if consumer is None else {CONSUMER: consumer})
    return check_project(write_system(root, files))


BREAKING = {
    "removed": (fields("a: str", "b: int"), fields("a: str"), "DS601", "StayPayload.b was removed"),
    "renamed": (fields("a: str"), fields("b: str = 'x'"), "DS601", "StayPayload.a was removed"),
    "retyped": (fields("a: str"), fields("a: int"), "DS602", "StayPayload.a was str and is int"),
    "optional": (fields("a: str"), fields("a: str | None"), "DS602", "StayPayload.a was str and is str | None"),
    "item type": (
        fields("a: tuple[int, ...]"),
        fields("a: tuple[str, ...]"),
        "DS602",
        "StayPayload.a was list[int] and is list[str]",
    ),
    "fixed length": (
        fields("a: list[int]"),
        fields("a: tuple[int, int]"),
        "DS602",
        "StayPayload.a was list[int] and is tuple[int, int]",
    ),
    "literal": (
        fields("a: Literal['x', 'y']"),
        fields("a: Literal['x']"),
        "DS602",
        "StayPayload.a was Literal['x', 'y'] and is Literal['x']",
    ),
    "required": (fields("a: str"), fields("a: str", "b: int"), "DS603", "StayPayload.b is new and has no default"),
    "default gone": (fields("a: str = ''"), fields("a: str"), "DS603", "StayPayload.a lost its default"),
    "nested": (
        "class Ward(msgspec.Struct):\n    name: str\n    beds: int\n\n\n" + fields("wards: list[Ward]"),
        "class Ward(msgspec.Struct):\n    name: str\n\n\n" + fields("wards: list[Ward]"),
        "DS601",
        "Ward.beds was removed",
    ),
    "inherited": (
        "class Base(EventPayload):\n    at: int\n\n\nclass StayPayload(Base):\n    a: str\n",
        "class Base(EventPayload):\n    pass\n\n\nclass StayPayload(Base):\n    a: str\n",
        "DS601",
        "StayPayload.at was removed",
    ),
    "enum": (
        "class Ward(Enum):\n    A = 1\n    B = 2\n\n\n" + fields("ward: Ward | None = None"),
        "class Ward(Enum):\n    A = 1\n\n\n" + fields("ward: Ward | None = None"),
        "DS604",
        "Ward lost 2",
    ),
    "dataclass": (
        "@dataclass(frozen=True)\nclass StayPayload:\n    a: str\n    b: list[str] = field(default_factory=list)\n",
        "@dataclass(frozen=True)\nclass StayPayload:\n    a: str\n    b: list[str] = field()\n",
        "DS603",
        "StayPayload.b lost its default",
    ),
    "typed dict": (
        "class StayPayload(TypedDict):\n    a: NotRequired[str]\n",
        "class StayPayload(TypedDict):\n    a: str\n",
        "DS603",
        "StayPayload.a lost its default",
    ),
    "name on the wire": (
        fields("a: str = msgspec.field(name='b')"),
        fields("a: str"),
        "DS601",
        "StayPayload.b was removed",
    ),
}


@pytest.mark.parametrize(("before", "after", "code", "message"), BREAKING.values(), ids=list(BREAKING))
def test_change_that_breaks_readers_is_found(before: str, after: str, code: str, message: str, tmp_path: Path) -> None:
    """A change that breaks readers is reported with what changed, which handler it breaks, and how to make it safe."""
    found = {finding.code: finding for finding in changed(tmp_path, before, after)}
    assert code in found
    assert found[code].message == f"{message}, which breaks record_stay of coding"
    assert "write version = 2 and upcasters = {1: ...} in StayCreated" in found[code].fix


HARMLESS = {
    "order": (fields("a: str", "b: int"), fields("b: int", "a: str")),
    "Optional": (fields("a: Optional[str] = None"), fields("a: str | None = None")),
    "Union": (fields("a: Union[str, int, None]"), fields("a: None | int | str")),
    "List": (fields("a: List[t.Optional[int]]"), fields("a: list[int | None]")),
    "another array": (
        fields("a: list[str]", "b: dict[str, list[set[int]]]"),
        fields("a: tuple[str, ...]", "b: Mapping[str, Sequence[frozenset[int]]]"),
    ),
    "another array of a renamed class": (
        "class Ward(msgspec.Struct):\n    name: str\n\n\n" + fields("wards: list[Ward]"),
        "class Unit(msgspec.Struct):\n    name: str\n\n\n" + fields("wards: tuple[Unit, ...]"),
    ),
    "quotes": (fields("a: 'list[str]'"), fields("a: list[str]")),
    "an alias": ("Name: TypeAlias = str | None\n\n\n" + fields("a: Name"), fields("a: None | str")),
    "a new type": ("StayId = NewType('StayId', str)\n\n\n" + fields("a: StayId"), fields("a: str")),
    "a class variable": (fields("a: int"), fields("a: int", "limit: t.ClassVar[int] = 3")),
    "a renamed member": (
        "class Ward(Enum):\n    A = 'a'\n\n\n" + fields("ward: Ward"),
        "class Ward(Enum):\n    HEART = 'a'\n\n\n" + fields("ward: Ward"),
    ),
    "a renamed class": (
        "class Ward(msgspec.Struct):\n    name: str\n\n\n" + fields("wards: dict[str, Ward]"),
        "class Unit(msgspec.Struct):\n    name: str\n\n\n" + fields("wards: dict[str, Unit]"),
    ),
    "a class that contains itself": (
        "class Ward(msgspec.Struct):\n    inner: 'Ward | None' = None\n\n\n" + fields("ward: Ward"),
        "class Ward(msgspec.Struct):\n    inner: Optional['Ward'] = None\n\n\n" + fields("ward: Ward"),
    ),
    "another name, the same on the wire": (fields("a: str"), fields("b: str = msgspec.field(name='a')")),
}


@pytest.mark.parametrize(("before", "after"), HARMLESS.values(), ids=list(HARMLESS))
def test_change_that_breaks_no_reader_is_clean(before: str, after: str, tmp_path: Path) -> None:
    """Another spelling of the same type, or an addition that readers can ignore, is not reported."""
    assert changed(tmp_path, before, after) == []


def with_chain(steps: str) -> str:
    """Return the consumer with a chain of upcasters, as it was written before they belonged to the class."""
    consumer = small_system()[CONSUMER].replace('"coding")', '"coding", upcasters=[CHAIN])')
    chain = f"from domainstream import UpcasterChain\n\nCHAIN = UpcasterChain(StayCreated, {steps})\n"
    return consumer.replace("\nconsumer =", f"{chain}\nconsumer =")


@pytest.mark.parametrize("where", ["class", "annotated", "chain"])
@pytest.mark.parametrize(
    ("version", "steps", "safe"),
    [
        ("    version = 2\n", "{1: step}", True),
        ("    version = 3\n", "{1: step, 2: step}", True),
        ("    version = 3\n", "STEPS", True),
        ("    version: t.ClassVar[int] = 2\n", "{1: step}", True),
        ("    version = 3\n", "{2: step}", False),
        ("    version = 2\n", "{}", False),
        ("", "{1: step}", False),
    ],
)
def test_risen_version_with_upcasters_makes_a_change_safe(
    version: str, steps: str, safe: bool, where: str, tmp_path: Path
) -> None:
    """A change is safe, but for its new snapshot, if the version rose and upcasters lead to it from the old one."""
    consumer = with_chain(steps) if where == "chain" else small_system()[CONSUMER]
    changed(tmp_path, fields("a: str"), fields("a: str"), consumer)
    own = {"class": f"    upcasters = {steps}\n", "annotated": f"    upcasters: t.ClassVar = {steps}\n", "chain": ""}
    write_system(tmp_path, {EVENTS: events(fields("a: int"), version + own[where])})
    assert {finding.code for finding in check_project(tmp_path)} == ({"DS611"} if safe else {"DS602"})
    assert snapshot(tmp_path).exit_code == (0 if safe else 1)
    assert (check_project(tmp_path) == []) is safe


def test_fix_for_a_version_without_upcasters_names_the_steps_to_add(tmp_path: Path) -> None:
    """The fix for a risen version without upcasters lists every step from the old version to the new one."""
    changed(tmp_path, fields("a: str"), fields("a: str"))
    write_system(tmp_path, {EVENTS: events(fields("a: int"), "    version = 3\n")})
    (finding,) = check_project(tmp_path)
    assert "write upcasters = {1: ..., 2: ...} in StayCreated" in finding.fix


def test_reader_of_another_language_is_named(tmp_path: Path) -> None:
    """A change that breaks a job of an external queue names that job and its queue."""
    entry = '[to_queue("coding", job="record-stay"), to_queue("mails", job="send-mail")]'
    subscriptions = small_system()[SUBSCRIPTIONS].replace('[to_queue("coding", job="record-stay")]', entry)
    write_system(tmp_path, {"domainstream.toml": 'external_queues = ["mails"]\n'})
    changed(tmp_path, fields("a: str"), fields("a: str"))
    write_system(tmp_path, {SUBSCRIPTIONS: subscriptions, EVENTS: events(fields("a: int"))})
    (finding,) = check_project(tmp_path)
    assert finding.message.endswith("which breaks record_stay of coding, the job send-mail of the queue mails")


def test_event_that_stays_inside_has_no_contract(tmp_path: Path) -> None:
    """An event that its mapper keeps inside is in no snapshot, because no other service reads it."""
    inside = {
        MAPPER: small_system()[MAPPER].replace("return Channel.DOMAIN_CODING_STAY_CREATED", "return None"),
        EVENTS: events(fields("a: str")),
    }
    write_system(tmp_path, small_system() | inside)
    assert snapshot(tmp_path).exit_code == 0
    assert not list((tmp_path / "contracts").iterdir())


def test_event_that_is_published_now_and_then_has_a_contract(tmp_path: Path) -> None:
    """An event that a guard keeps inside only sometimes is in the snapshot like any published event."""
    case = "        case StayCreated() if event.sequence:\n            return None\n"
    mapper = small_system()[MAPPER].replace("        case StayCreated():", f"{case}        case StayCreated():")
    write_system(tmp_path, small_system() | {MAPPER: mapper})
    assert snapshot(tmp_path).exit_code == 0
    assert [path.name for path in (tmp_path / "contracts").iterdir()] == ["coding.json"]


def test_snapshot_is_not_written_over_a_break(tmp_path: Path) -> None:
    """`schema snapshot` refuses a breaking change until it is run with --accept, after which the check is clean."""
    changed(tmp_path, fields("a: str"), fields("a: int"))
    refused = snapshot(tmp_path)
    assert refused.exit_code == 1
    assert "StayPayload.a was str and is int" in refused.stderr
    assert [finding.code for finding in check_project(tmp_path)] == ["DS602"]
    assert snapshot(tmp_path, "--accept").exit_code == 0
    assert check_project(tmp_path) == []


def test_snapshot_is_stable_and_sorted(tmp_path: Path) -> None:
    """A second snapshot changes nothing, and the fields in it are sorted, whatever their order in the code."""
    changed(tmp_path, fields("b: str", "a: int"), fields("a: int", "b: str"))
    text = (tmp_path / "contracts/coding.json").read_text()
    again = snapshot(tmp_path)
    assert again.exit_code == 0
    assert again.stdout == ""
    assert (tmp_path / "contracts/coding.json").read_text() == text
    assert list(json.loads(text)["events"]["domain_coding_stay_created"]["types"]["StayPayload"]["fields"]) == [
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"a": 1}', b"\xff", b"[" * 100_000, b'{"format": 2}', b'{"format": 2, "events": {}, "a": 1}'],
)
def test_damaged_snapshot_is_a_finding(content: bytes, tmp_path: Path) -> None:
    """A snapshot that cannot be read is reported as DS001 with its path."""
    root = write_system(tmp_path, small_system() | {"contracts/coding.json": content})
    assert ("DS001", "contracts/coding.json") in [(one.code, one.path) for one in check_project(root)]
