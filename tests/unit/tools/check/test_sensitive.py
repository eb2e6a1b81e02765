"""Fields marked sensitive: where the mark is read, what it does to the contract, and which names are masked."""

from pathlib import Path

import pytest
from msgspec.json import decode
from support.checking import EVENTS, write_system
from unit.tools.check.test_contract_files import CONTRACT, codes, snapshot, system, with_payload

from domainstream.tools.check.project import read_project
from domainstream.tools.check.sensitive import sensitive_names

EVENT_TYPE = "domain_coding_stay_created"
IMPORTS = """from typing import Annotated, NamedTuple
import msgspec
import pydantic
from msgspec import Meta
from domainstream import SENSITIVE
"""
NAMED = "class StayPayload(EventPayload):\n    stay_id: Annotated[str, SENSITIVE]\n"
NESTED = """
class Patient(msgspec.Struct):
    name: Annotated[str, SENSITIVE]
    ward: str


class StayPayload(EventPayload):
    stay_id: str
    patients: list[Patient]
"""
ARRAY = """
class Patient(NamedTuple):
    name: Annotated[str, SENSITIVE]
    ward: str


class StayPayload(EventPayload):
    stay_id: str
    patients: tuple[Patient, ...]
"""


def marked(root: Path, payload: str) -> frozenset[str]:
    """Return the names that are masked in the payload of an event."""
    write_system(root, with_payload(payload, IMPORTS))
    return sensitive_names(read_project(root))[EVENT_TYPE]


@pytest.mark.parametrize(
    "annotation",
    [
        "Annotated[str, SENSITIVE]",
        "Annotated[str, Meta(min_length=1), SENSITIVE]",
        "Annotated[str, SENSITIVE] | None",
        "list[Annotated[str, SENSITIVE]]",
        'Annotated[str, Meta(extra_json_schema={"x-sensitive": True})]',
        'str = pydantic.Field(json_schema_extra={"x-sensitive": True})',
        "Secret",
        "Annotated[str, HIDDEN]",
    ],
)
def test_mark_is_read_in_any_spelling(tmp_path: Path, annotation: str) -> None:
    """A field is marked by the name, by an alias, in a part of its type, or by the keyword itself."""
    names = 'Secret = Annotated[str, SENSITIVE]\nHIDDEN = Meta(extra_json_schema={"x-sensitive": True})\n\n\n'
    payload = f"{names}class StayPayload(EventPayload):\n    stay_id: {annotation}\n    ward: str\n"
    assert marked(system(tmp_path), payload) == {"stay_id"}


def test_nested_field_is_named(tmp_path: Path) -> None:
    """A marked field of a struct in a list is masked, and its neighbours are not."""
    assert marked(system(tmp_path), NESTED) == {"name"}


def test_array_with_a_marked_element_is_masked_as_a_whole(tmp_path: Path) -> None:
    """The elements of an array have no names, so the field that holds it is masked."""
    assert "patients" in marked(system(tmp_path), ARRAY)


def test_new_mark_breaks_nobody(tmp_path: Path) -> None:
    """The check does not complain of a mark, and the contract file is written without --accept."""
    write_system(system(tmp_path), with_payload(NAMED, IMPORTS))
    assert codes(tmp_path) == []
    assert "StayPayload.stay_id is marked sensitive" in snapshot(tmp_path, "--check").stdout
    assert snapshot(tmp_path).exit_code == 0
    types = decode((tmp_path / CONTRACT).read_bytes())["events"][EVENT_TYPE]["types"]
    assert types["StayPayload"]["fields"]["stay_id"]["sensitive"] is True


def test_removed_mark_breaks_nobody_and_earlier_messages_stay_masked(tmp_path: Path) -> None:
    """While the contract file has the mark, the field is masked."""
    original = (system(tmp_path) / EVENTS).read_bytes()
    write_system(tmp_path, with_payload(NAMED, IMPORTS))
    assert snapshot(tmp_path).exit_code == 0
    write_system(tmp_path, {EVENTS: original})
    assert codes(tmp_path) == []
    assert sensitive_names(read_project(tmp_path))[EVENT_TYPE] == {"stay_id"}
    assert snapshot(tmp_path).exit_code == 0
    assert sensitive_names(read_project(tmp_path))[EVENT_TYPE] == set()
