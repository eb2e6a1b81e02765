"""Readers: classes by which a service reads another service's event with only the fields that it needs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.checking import CHANNELS, EVENTS, MAPPER, SUBSCRIPTIONS, small_system, write_system

from domainstream.cli.main import cli
from domainstream.tools.check import Finding, check_project, read_project

FOLDER = "services/billing/src/billing/infrastructure_layer/consumers"
READER = f"{FOLDER}/stay_created.py"
CONSUMER = f"{FOLDER}/billing_consumer.py"
IMPORTS = """
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, TypedDict, final
from uuid import UUID

import msgspec
from msgspec import Meta

from domainstream import BaseEvent, EventPayload
"""
HANDLER = """
from billing.infrastructure_layer.consumers.stay_created import StayCreated
from domainstream.worker import EventConsumer, EventContext

consumer = EventConsumer("billing")


@consumer.on(StayCreated)
async def bill_stay(event: StayCreated, context: EventContext) -> None:
    print(event.payload)
"""
OWN = "domain_coding_stay_created"
OTHERS = "domain_admission_stay_admitted"


def payload(name: str, fields: str) -> str:
    """Return a payload's class with fields, and with the classes that stand before a line of dashes."""
    before, _, own = fields.rpartition("---\n")
    return f"{before}\n\nclass {name}(EventPayload):\n" + "".join(f"    {line}\n" for line in own.splitlines())


def reader(fields: str, event_type: str = OWN, more: str = "") -> dict[str, str]:
    """Return the files of a service with a reader of these fields."""
    event = f'\n\nclass StayCreated(BaseEvent[BilledStay]):\n    event_type = "{event_type}"\n{more}'
    return {READER: IMPORTS + payload("BilledStay", fields) + event, CONSUMER: HANDLER}


def owner(fields: str, more: str = "") -> dict[str, str]:
    """Return the small system, whose event has these fields and which the service subscribes to."""
    files = small_system()
    head, _, rest = files[EVENTS].partition("class StayPayload(EventPayload):\n    stay_id: str\n")
    kind = head[head.index("class StayEventType") :]
    entry = '[to_queue("coding", job="record-stay")'
    assert entry in files[SUBSCRIPTIONS]
    subscriptions = files[SUBSCRIPTIONS].replace(entry, f'{entry}, to_queue("billing", job="bill-stay")')
    return files | {EVENTS: IMPORTS + kind + payload("StayPayload", fields) + rest + more, SUBSCRIPTIONS: subscriptions}


def found(root: Path, *files: dict[str, str]) -> list[Finding]:
    """Return what is found in a system of these files."""
    for one in files:
        write_system(root, one)
    return check_project(root)


WARD = "class Ward(EventPayload):\n    name: str\n    beds: int\n"
KIND = "class Kind(StrEnum):\n    DAY = 'day'\n    NIGHT = 'night'\n"
FITTING = {
    "the same": ("a: str\nb: int = 0", "a: str\nb: int = 0"),
    "fewer fields": ("a: str\nb: int\nc: list[str]", "a: str"),
    "none": ("a: str", "pass"),
    "a default": ("a: str", "a: str = ''"),
    "optional": ("a: str", "a: str | None = None"),
    "a text for a time": ("a: Annotated[dt.datetime, Meta(tz=True)]", "a: str"),
    "a text for a number that is one in JSON": ("a: Decimal\nb: UUID", "a: str\nb: str"),
    "a wider number": ("a: int", "a: float"),
    "a wider union": ("a: int | None", "a: str | int | None"),
    "another array": ("a: list[int]", "a: tuple[int, ...]"),
    "an array of a fixed length": ("a: tuple[int, int]", "a: Sequence[int]"),
    "another object": ("a: dict[str, int]", "a: Mapping[str, float]"),
    "anything": ("a: list[int]\nb: int", "a: Any\nb: msgspec.Raw"),
    "a list of anything": ("a: list[int]", "a: list[Any]"),
    "a plain list": ("a: list[int]", "a: list"),
    "an enum as text": (f"{KIND}---\na: Kind", "a: str"),
    "a wider enum": (
        f"{KIND}---\na: Kind | None",
        "class All(StrEnum):\n    A = 'night'\n    B = 'day'\n    C = ''\n---\na: All | None",
    ),
    "a literal for an enum": (f"{KIND}---\na: Kind", "a: Literal['night', 'day']"),
    "a wider literal": ("a: Literal[1, 2]", "a: Literal[2, 1, 3]"),
    "a literal as number": ("a: Literal[1, 2]", "a: int"),
    "a class with fewer fields": (
        f"{WARD}---\na: Ward\nb: list[Ward]",
        "class Unit(EventPayload):\n    name: str\n---\na: Unit\nb: list[Unit]",
    ),
    "a class as an object": (f"{WARD}---\na: Ward", "a: dict[str, Any]"),
    "a class of another kind": (f"{WARD}---\na: Ward", "@dataclass\nclass Unit:\n    beds: float\n---\na: Unit"),
    "a name on the wire": ("b: str = msgspec.field(name='a')", "a: str"),
    "the name of the owner's class": (f"{WARD}---\na: Ward", "class Ward(EventPayload):\n    name: str\n---\na: Ward"),
}
GAPS = {
    "no such field": (
        "ward: str",
        "wards: str",
        "DS702",
        "BilledStay.wards: StayCreated has no such field",
        "did you mean ward?",
    ),
    "no such field, with a default": (
        "a: str",
        "b: int = 0",
        "DS702",
        "BilledStay.b: StayCreated has no such field",
        "the fields are: a",
    ),
    "no such inner field": (
        f"{WARD}---\na: dict[str, Ward]",
        "class Unit(EventPayload):\n    rooms: int = 0\n---\na: dict[str, Unit]",
        "DS702",
        "Unit.rooms: Ward of StayCreated has no such field",
        "the fields are: beds, name",
    ),
    "another type": ("a: str", "a: int", "DS703", "BilledStay.a is int, but str in StayCreated", "use a: str"),
    "a narrower number": (
        "a: float",
        "a: int",
        "DS703",
        "BilledStay.a is int, but float in StayCreated",
        "use a: float",
    ),
    "null is not taken": ("a: str | None", "a: str", "DS703", "BilledStay.a is str, but str | None in StayCreated", ""),
    "another item": ("a: list[str]", "a: list[int]", "DS703", "a is list[int], but list[str]", ""),
    "another length": ("a: tuple[int, int]", "a: tuple[int, int, int]", "DS703", "a is tuple[int, int, int]", ""),
    "no array": ("a: list[str]", "a: str", "DS703", "a is str, but list[str]", ""),
    "another value": ("a: dict[str, int]", "a: dict[str, str]", "DS703", "a is dict[str, str], but dict[str, int]", ""),
    "a time for a text": ("a: str", "a: dt.date", "DS703", "a is date, but str", ""),
    "a class for a text": ("a: str", f"{WARD}---\na: Ward", "DS703", "a is Ward, but str", ""),
    "a text for a class": (
        f"{WARD}---\na: Ward",
        "a: str",
        "DS703",
        "a is str, but Ward",
        "a class of your own for Ward",
    ),
    "a narrower enum": (
        f"{KIND}---\na: Kind",
        "class Some(StrEnum):\n    A = 'day'\n---\na: Some",
        "DS703",
        "a is Some, but Kind in StayCreated: it does not know night",
        "",
    ),
    "an enum for a text": ("a: str", f"{KIND}---\na: Kind", "DS703", "a is Kind, but str", ""),
    "a narrower literal": ("a: Literal[1, 2]", "a: Literal[1]", "DS703", "it does not know 2", ""),
    "a number for an enum of texts": (f"{KIND}---\na: Kind", "a: int", "DS703", "a is int, but Kind", ""),
    "required": (
        "a: str = ''",
        "a: str",
        "DS704",
        "BilledStay.a is required, but StayCreated may come without it",
        "a default",
    ),
    "required inside": (
        "class Ward(EventPayload):\n    name: str = ''\n---\na: Ward | None = None",
        "class Unit(EventPayload):\n    name: str\n---\na: Unit | None = None",
        "DS704",
        "Unit.name is required, but Ward of StayCreated may come without it",
        "",
    ),
}


@pytest.mark.parametrize(("wire", "own"), FITTING.values(), ids=list(FITTING))
def test_reader_that_fits_is_clean(wire: str, own: str, tmp_path: Path) -> None:
    """A reader whose types take everything that its owner may send has no finding of any rule."""
    assert found(tmp_path, owner(wire), reader(own)) == []
    assert [one.name for one in read_project(tmp_path).readers] == ["StayCreated"]


@pytest.mark.parametrize(("wire", "own", "code", "message", "fix"), GAPS.values(), ids=list(GAPS))
def test_gap_of_a_reader_is_found(wire: str, own: str, code: str, message: str, fix: str, tmp_path: Path) -> None:
    """What a reader needs and its event does not have is one finding, at the reader's field."""
    (finding,) = found(tmp_path, owner(wire), reader(own))
    assert (finding.code, finding.path) == (code, READER)
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(("wire", "own", "code", "message", "fix"), GAPS.values(), ids=list(GAPS))
def test_gap_is_found_by_the_contract_alone(
    wire: str, own: str, code: str, message: str, fix: str, tmp_path: Path
) -> None:
    """In another repository, the owner's contract file shows the same gaps as its classes do here."""
    found(tmp_path, owner(wire))
    assert CliRunner().invoke(cli, ["schema", "snapshot", str(tmp_path)]).exit_code == 0
    (finding,) = found(
        tmp_path / "other", elsewhere((tmp_path / "contracts/coding.json").read_text(), OWN), reader(own)
    )
    assert (finding.code, finding.path) == (code, READER)
    assert message in finding.message
    assert fix in finding.fix


def elsewhere(contract: str | None, event_type: str) -> dict[str, str]:
    """Return a repository that has the contract file of another one's service, and none of its classes."""
    service = event_type.split("_")[1]
    files = small_system()
    channels = f'class Channel(EventPublisherChannel):\n    {event_type.upper()} = "{event_type}"\n'
    table = f'{{Channel.{event_type.upper()}: [to_queue("billing", job="bill-stay")]}}'
    head = files[SUBSCRIPTIONS].partition("subscriptions = ")[0]
    return {
        CHANNELS: f"from domainstream import EventPublisherChannel\n\n\n{channels}",
        SUBSCRIPTIONS: f"{head}subscriptions = create_multiple_handlers({table})\n",
        "domainstream.toml": f'external_services = ["{service}"]\n',
        **({} if contract is None else {f"contracts/{service}.json": contract}),
    }


def test_reader_without_a_contract_is_found(tmp_path: Path) -> None:
    """A reader of an event of which there is neither class nor contract is reported, with what to copy."""
    (finding,) = found(tmp_path, elsewhere(None, OTHERS), reader("a: str", OTHERS))
    assert (finding.code, finding.path) == ("DS701", READER)
    assert finding.fix.startswith("copy the owner's contract file into contracts/")


def test_reader_of_an_event_that_its_owner_does_not_have_is_found(tmp_path: Path) -> None:
    """A misspelt event type of a reader is reported, although its service exists."""
    codes = [one.code for one in found(tmp_path, owner("a: str"), reader("a: str", "domain_coding_stay_creted"))]
    assert "DS701" in codes
    assert not {"DS201", "DS203", "DS204", "DS205"}.intersection(codes)


def test_class_of_the_own_service_is_no_reader(tmp_path: Path) -> None:
    """A second class of an event type in the owner's service is still reported as such."""
    second = EVENTS.replace("stay_events", "more_events")
    codes = [one.code for one in found(tmp_path, owner("a: str"), {second: owner("a: str")[EVENTS]})]
    assert "DS204" in codes


@pytest.mark.parametrize(
    ("own", "codes"),
    [
        ("    version = 2\n    upcasters = {1: step}\n", []),
        ("    version = 2\n    upcasters = STEPS\n", []),
        ("    version = 1\n", ["DS705"]),
        ("    version = 3\n", ["DS705"]),
        ("    version = computed()\n", []),
    ],
)
def test_version_of_a_reader_is_compared(own: str, codes: list[str], tmp_path: Path) -> None:
    """A reader of another version than its event's is one finding, whatever its fields are."""
    fields = "b: str" if codes else "a: str"
    files = owner("a: str", "    version = 2\n")
    assert [one.code for one in found(tmp_path, files, reader(fields, more=own))] == codes


CLOSED = {
    "struct": (
        "class Unit(EventPayload):\n    a: str\n---\na: Unit",
        "class Unit(EventPayload)",
        "forbid_unknown_fields=True",
    ),
    "payload": ("a: str", "class BilledStay(EventPayload)", "forbid_unknown_fields=True"),
}


@pytest.mark.parametrize(("fields", "start", "option"), CLOSED.values(), ids=list(CLOSED))
def test_reader_that_refuses_unknown_fields_is_found(fields: str, start: str, option: str, tmp_path: Path) -> None:
    """A reader whose payload, or a class within it, refuses unknown fields is reported; the owner's may do so."""
    closed = {name: text.replace(start, f"{start[:-1]}, {option})") for name, text in reader(fields).items()}
    wire = fields.replace("BilledStay", "StayPayload")
    assert [one.code for one in found(tmp_path / "closed", owner(wire), closed)] == ["DS706"]
    assert found(tmp_path / "open", owner(wire), reader(fields)) == []


def test_model_that_refuses_unknown_fields_is_found(tmp_path: Path) -> None:
    """A pydantic model as reader with extra="forbid" is reported."""
    model = reader("a: str")[READER].replace("(EventPayload):", "(pydantic.BaseModel):\n    model_config = CONFIG")
    for config, codes in (("pydantic.ConfigDict(extra='forbid')", ["DS706"]), ("pydantic.ConfigDict()", [])):
        files = {**reader("a: str"), READER: f"import pydantic\n{model.replace('CONFIG', config)}"}
        assert [one.code for one in found(tmp_path, owner("a: str"), files)] == codes


UPCAST = "    version = 3\n    upcasters = {1: step, 2: step}\n"


@pytest.mark.parametrize(
    ("own", "fixes"),
    [
        ("    version = 3\n    upcasters = {1: step, 2: step}\n", []),
        ("    version = 3\n    upcasters = StayCreated.upcasters\n", []),
        (
            "    version = 3\n    upcasters = {2: step}\n",
            ["give the class upcasters = {1: ..., 2: ...}, as its owner's"],
        ),
        ("    version = 3\n", ["give the class upcasters = {1: ..., 2: ...}, as its owner's"]),
    ],
)
def test_reader_reads_the_versions_that_its_owner_reads(own: str, fixes: list[str], tmp_path: Path) -> None:
    """A reader without the upcasters of its event's owner is reported, because old messages may still come."""
    findings = found(tmp_path, owner("a: str", UPCAST), reader("a: str", more=own))
    assert [(one.code, one.fix) for one in findings] == [("DS705", fix) for fix in fixes]


def test_gap_in_an_event_of_two_readers_is_found_in_each(tmp_path: Path) -> None:
    """Two services that read one event are judged apart, and neither is taken for the owner."""
    second = {
        name.replace("billing", "archive"): text.replace("billing", "archive")
        for name, text in reader("b: str").items()
    }
    files = owner("a: str")
    files[SUBSCRIPTIONS] = files[SUBSCRIPTIONS].replace(
        ", to_queue(", ', to_queue("archive", job="keep-stay"), to_queue(', 1
    )
    findings = found(tmp_path, files, reader("a: str"), second)
    assert [(one.code, one.path) for one in findings] == [("DS702", READER.replace("billing", "archive"))]


def test_owner_and_reader_in_one_queue_are_found(tmp_path: Path) -> None:
    """A consumer that handles an event by its owner's class and by a reader is reported: it cannot tell them apart."""
    more = "from coding.domain_layer.stay.stay_events import StayCreated as Owned\n"
    handler = '\n\n@consumer.on(Owned, job="keep-stay")\nasync def keep_stay(event, context):\n    print(1)\n'
    (finding,) = found(tmp_path, owner("a: str"), reader("a: str"), {CONSUMER: more + HANDLER + handler})
    assert finding.code == "DS407"
    assert "are one event" in finding.message


def test_reader_that_is_published_is_found(tmp_path: Path) -> None:
    """A service that publishes an event through its reader is reported as a second publisher."""
    files = owner("a: str")
    mapper = files[MAPPER].replace(
        "coding.domain_layer.stay.stay_events", "billing.infrastructure_layer.consumers.stay_created"
    )
    mapper = mapper.replace("from coding.domain_layer.coding_domain_event import CodingDomainEvent\n", "").replace(
        "CodingDomainEvent", "StayCreated"
    )
    findings = found(tmp_path, files, reader("a: str"), {MAPPER.replace("coding", "billing"): mapper})
    assert [one.code for one in findings] == ["DS502"]
    assert "only the owner publishes the event" in findings[0].fix


def test_reader_is_in_no_snapshot(tmp_path: Path) -> None:
    """A snapshot holds events as their owners define them, and the contract of another repository stays as it is."""
    contract = json.dumps(
        {
            OTHERS: {
                "event": "StayAdmitted",
                "version": 1,
                "payload": "P",
                "types": {"P": {"fields": {"a": {"type": "str", "required": True}}}},
            }
        }
    )
    files = elsewhere(contract, OTHERS)
    assert found(tmp_path, files, reader("a: str", OTHERS)) == []
    assert CliRunner().invoke(cli, ["schema", "snapshot", str(tmp_path)]).exit_code == 0
    assert {path.name: path.read_text() for path in (tmp_path / "contracts").iterdir()} == {"admission.json": contract}


@pytest.mark.parametrize(
    ("own", "theirs", "message"),
    [
        ("", ", array_like=True", "BilledStay is an object, but StayCreated is an array"),
        (", array_like=True", "", "BilledStay is an array, but StayCreated is an object"),
        (", rename='camel'", ", rename='camel'", ""),
        ("", ", forbid_unknown_fields=True", ""),
    ],
)
def test_reader_has_to_be_written_as_its_owner_is(own: str, theirs: str, message: str, tmp_path: Path) -> None:
    """A reader that is an object where the event is an array, or the reverse, is reported."""
    files = owner("stay_id: str\nward: str")
    files[EVENTS] = files[EVENTS].replace("class StayPayload(EventPayload", f"class StayPayload(EventPayload{theirs}")
    readers = reader("stay_id: str")
    readers[READER] = readers[READER].replace("class BilledStay(EventPayload", f"class BilledStay(EventPayload{own}")
    assert [finding.message for finding in found(tmp_path, files, readers)] == ([message] if message else [])
