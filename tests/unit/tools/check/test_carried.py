"""Fields that no message can carry: `check` finds what start-up refuses, without running anything."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from support.checking import EVENTS, small_system, write_system

from domainstream.tools.check import Finding, check_project

EVENT = "    event_type = StayEventType.DOMAIN_CODING_STAY_CREATED\n"
HEAD = """
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum, auto
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, NewType, Optional, TypedDict
from typing import TypeVar, Union, final
from uuid import UUID

import attrs
import msgspec
import pydantic
from msgspec import Meta

from domainstream import BaseEvent, EventPayload

if TYPE_CHECKING:
    from coding.domain_layer.stay.ward import Ward

T = TypeVar("T")
Text = NewType("Text", str)
Money = Decimal | None


class Mixed(Enum):
    TEXT = "text"
    NUMBER = 1


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = auto()


class One(msgspec.Struct, tag=True):
    a: int


class Two(msgspec.Struct, tag=True):
    b: int


class Three(EventPayload):
    c: int


class Four(EventPayload):
    c: int


class Table(TypedDict):
    a: int


@dataclass
class Data:
    a: int


class Holder(EventPayload, Generic[T]):
    value: T


class Model(pydantic.BaseModel):
    amount: Decimal | str

"""


def found(root: Path, text: str, head: str = HEAD) -> list[Finding]:
    """Return what is found in the small system with these events."""
    events = small_system()[EVENTS]
    body = events[events.index("class StayEventType") :]
    for old, new in (part.split(" -> ", 1) for part in text.split(" ;; ")):
        assert old in body
        body = body.replace(old, new)
    return check_project(write_system(root, small_system() | {EVENTS: f"{head}\n{body}"}))


def typed(root: Path, annotation: str) -> list[Finding]:
    """Return what is found where a field of the payload has this type."""
    return found(root, f"    stay_id: str\n ->     stay_id: str\n    field: {annotation}\n")


def starts(annotation: str) -> bool:
    """Return whether msgspec takes a payload with a field of this type, as a producer finds out at start-up."""
    module = ModuleType("stay_events")
    module.__dict__.update(Unknown=int, computed=lambda: int)
    program = f"{HEAD}\nclass StayPayload(EventPayload):\n    field: {annotation}\n"
    sys.modules[module.__name__] = module
    try:
        exec(compile(program, "stay_events.py", "exec"), module.__dict__)  # noqa: S102 - made here
        return is_taken(module.__dict__["StayPayload"])
    finally:
        # Nothing else is taken back: what the program imports would be imported a second time by later tests.
        del sys.modules[module.__name__]


def is_taken(payload: Any) -> bool:
    """Return whether msgspec takes a type."""
    try:
        msgspec.json.Decoder(payload)
    except TypeError:
        return False
    return True


UNUSABLE = {
    "Decimal | str": "more than one str-like type",
    "str | date": "more than one str-like type",
    "Union[UUID, Colour, None]": "more than one str-like type",
    "Optional['Text | timedelta']": "more than one str-like type",
    "list[Money | str]": "more than one str-like type",
    "Literal['a'] | Decimal": "more than one str-like type",
    "int | Level": "more than one int-like type",
    "list[int] | tuple[str, ...]": "more than one array-like",
    "dict[str, int] | Three": "more than one dict-like type",
    "Three | Four": "all Struct types must be tagged",
    "Table | Data": "more than one dict-like type",
    "Model | Three": "unions containing a custom type",
    "Mixed": "enums must contain either all str or all int values",
    "dict[str, list[Mixed | None]]": "enums must contain either all str or all int values",
}


@pytest.mark.parametrize("annotation", UNUSABLE)
def test_type_that_cannot_be_sent_is_found(annotation: str, tmp_path: Path) -> None:
    """A type that msgspec refuses is reported with class, field and reason."""
    (finding,) = typed(tmp_path, annotation)
    assert finding.code == "DS209"
    assert finding.message.startswith("StayPayload.field cannot be sent: ")
    assert UNUSABLE[annotation] in finding.message
    assert not starts(annotation)


@pytest.mark.parametrize(
    "annotation",
    [
        "str | int | float | bool | None",
        "Decimal | int | None",
        "Colour | Level",
        "One | Two",
        "list[Three] | Table | None",
        "Annotated[Optional[Decimal], Meta(description='a')]",
        "dict[UUID, tuple[int, str]]",
        "Holder[int] | None",
        "Model",
        "Any",
        "Unknown | str",
        "ClassVar[Decimal | str] = 'a'",
        "Literal['Ward']",
        "list[computed()] | str",
    ],
)
def test_type_that_can_be_sent_is_clean(annotation: str, tmp_path: Path) -> None:
    """A type that msgspec takes, that pydantic reads, or that is not plain, is not reported."""
    assert typed(tmp_path, annotation) == []
    assert starts(annotation)


@pytest.mark.parametrize("annotation", ["Ward", "'Ward'", "list['Ward | None']"])
def test_name_for_type_checkers_is_found(annotation: str, tmp_path: Path) -> None:
    """A name that is imported under `if TYPE_CHECKING:` alone is reported, quoted or not."""
    (finding,) = typed(tmp_path, annotation)
    assert (finding.code, finding.message) == ("DS209", "StayPayload.field names Ward, which only type checkers import")
    assert finding.fix == "import it outside of `if TYPE_CHECKING:`"
    otherwise = HEAD.replace("\nT = ", "else:\n    Ward = int\n\nT = ")
    root = tmp_path / "control"
    assert found(root, f"    stay_id: str\n ->     stay_id: str\n    field: {annotation}\n", otherwise) == []


@pytest.mark.parametrize(
    "classes",
    [
        "class Inner(EventPayload):\n    field: Decimal | str\n\n\n",
        "@dataclass\nclass Inner:\n    field: Decimal | str\n\n\n",
        "@attrs.frozen\nclass Inner:\n    field: Decimal | str\n\n\n",
        "class Inner(TypedDict):\n    field: Decimal | str\n\n\n",
        "class Base(msgspec.Struct):\n    field: Decimal | str\n\n\nclass Inner(Base):\n    more: int = 0\n\n\n",
    ],
)
def test_class_within_a_payload_is_named(classes: str, tmp_path: Path) -> None:
    """The class that is at fault is named, once, where two fields of the payload use it."""
    lines = "    first: Inner\n    second: list[Inner]\n"
    (finding,) = found(tmp_path, f"class StayPayload -> {classes}class StayPayload ;;     stay_id: str\n -> {lines}")
    assert finding.code == "DS209"
    assert finding.message.partition(".field cannot be sent")[0] in {"Inner", "Base"}


LOST = {
    "default": '    tenant: str = "default"\n',
    "no default": "    tenant: str\n",
    "quoted": '    tenant: "str | None" = None\n',
    "msgspec's field": "    tenant: list[str] = msgspec.field(default_factory=list)\n",
    "private": "    _tenant: int = 0\n",
}
KEPT = {
    "class variable": '    tenant: ClassVar[str] = "default"\n',
    "quoted class variable": '    tenant: "ClassVar[str]" = "default"\n',
    "field of the envelope": '    partition_key: str | None = "all"\n',
    "no annotation": '    tenant = "default"\n',
}


@pytest.mark.parametrize("line", LOST.values(), ids=list(LOST))
@pytest.mark.parametrize("inherited", [True, False])
def test_field_of_an_event_is_found(line: str, inherited: bool, tmp_path: Path) -> None:
    """A field that an event class adds, itself or by a base of the service, is reported once, with its place."""
    base = f"class Base(BaseEvent[T]):\n{line}\n\n@final\nclass StayCreated(Base[StayPayload])"
    change = (
        f"@final\nclass StayCreated(BaseEvent[StayPayload]) -> {base}" if inherited else f"{EVENT} -> {EVENT}{line}"
    )
    (finding,) = found(tmp_path, change)
    assert finding.code == "DS208"
    assert "tenant, so handlers would not see its value" in finding.message
    assert finding.fix.startswith("move it to the payload's class")


@pytest.mark.parametrize("line", KEPT.values(), ids=list(KEPT))
def test_other_attributes_of_an_event_are_clean(line: str, tmp_path: Path) -> None:
    """A class variable, an attribute, and a field that the envelope has are not reported."""
    assert found(tmp_path, f"{EVENT} -> {EVENT}{line}") == []
