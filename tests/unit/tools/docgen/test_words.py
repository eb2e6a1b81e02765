"""Schemas in plain words: what a type of Python, and a type of a contract file, is called."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta

from domainstream import SENSITIVE
from domainstream.tools.check.model.contract import EventSnapshot, FieldSnapshot, ShapeSnapshot
from domainstream.tools.docgen.contract_schemas import schemas_of_snapshot
from domainstream.tools.docgen.entries import tables_of
from domainstream.tools.docgen.words import REFERENCE, is_sensitive, words_of


class State(StrEnum):
    """The states of a report."""

    DRAFT = "draft"
    FINAL = "final"


class Ward(msgspec.Struct):
    """A ward."""

    name: str


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (str, "text"),
        (datetime, "text, a date-time"),
        (date, "text, a date"),
        (UUID, "text, a UUID"),
        (bytes, "bytes in base64"),
        (bool, "true or false"),
        (Annotated[int, Meta(ge=0)], "whole number, at least 0"),
        (Annotated[float, Meta(gt=0, le=1)], "number, more than 0, at most 1"),
        (Annotated[str, Meta(min_length=1, max_length=64)], "text, 1 to 64 characters"),
        (Annotated[str, Meta(pattern="^[A-Z]")], "text, matching ^[A-Z]"),
        (Annotated[list[str], Meta(min_length=1)], "list of text, at least 1 item"),
        (list[int], "list of whole numbers"),
        (list[Annotated[int, Meta(ge=0)]], "list of (whole number, at least 0)"),
        (dict[str, int], "object whose values are whole number"),
        (State, "one of: draft, final"),
        (Literal["one"], "always one"),
        (str | None, "text or nothing"),
        (list[Ward], "list of Ward"),
        (Any, "anything"),
    ],
)
def test_type_is_said_in_words(given: Any, words: str) -> None:
    """The words say what values there are, and never a type of a programming language."""
    (schema,), components = msgspec.json.schema_components([given], ref_template=f"{REFERENCE}{{name}}")
    if "format" not in schema and given is datetime:
        schema["format"] = "date-time"  # as `schemas_of` completes it
    assert words_of(schema, components) == words


def test_mark_is_found_within_a_type() -> None:
    """A field is sensitive if a part of its type is marked."""
    assert is_sensitive(msgspec.json.schema(list[Annotated[str, SENSITIVE]]))
    assert not is_sensitive(msgspec.json.schema(list[str]))


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (FieldSnapshot("str", required=True), "text"),
        (FieldSnapshot("datetime | None", required=False), "text, a date-time, or nothing"),
        (
            FieldSnapshot("list[str]", required=True, constraints={"[]": {"pattern": "^[A-Z]"}}),
            "list of (text, matching ^[A-Z])",
        ),
        (FieldSnapshot("int", required=True, constraints={"": {"ge": 0}}), "whole number, at least 0"),
        (FieldSnapshot("tuple[int, str]", required=True), "list of exactly: whole number; text"),
        (FieldSnapshot("Literal['a', 'b']", required=True), "one of: a, b"),
        (FieldSnapshot("State | None", required=True), "one of: draft, final, or nothing"),
        (FieldSnapshot("dict[str, Ward]", required=True), "object whose values are Ward"),
        (FieldSnapshot("Money", required=True), "Money"),
        (FieldSnapshot("this is no type", required=True), "this is no type"),
    ],
)
def test_contract_is_said_in_the_same_words(field: FieldSnapshot, words: str) -> None:
    """What a contract file, or the code without being imported, says about a field."""
    types = {
        "Payload": ShapeSnapshot({"field": field}),
        "State": ShapeSnapshot(members=["draft", "final"]),
        "Ward": ShapeSnapshot({"name": FieldSnapshot("str", required=True, sensitive=True)}),
    }
    payload, components = schemas_of_snapshot(EventSnapshot("Event", 1, "Payload", types))
    (table, *_) = tables_of(payload, components)
    assert table.fields[0].words == words


def test_nested_class_has_a_table_of_its_own() -> None:
    """What a field refers to is listed below, with its marks."""
    types = {
        "Payload": ShapeSnapshot({"ward": FieldSnapshot("Ward", required=True)}),
        "Ward": ShapeSnapshot({"name": FieldSnapshot("str", required=True, sensitive=True)}),
    }
    tables = list(tables_of(*schemas_of_snapshot(EventSnapshot("Event", 1, "Payload", types))))
    assert [table.name for table in tables] == ["Payload", "Ward"]
    assert tables[1].fields[0].sensitive
