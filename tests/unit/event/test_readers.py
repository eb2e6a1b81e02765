"""Consumers with a class of their own for an event: they read the fields that they name, and ignore all others."""

import json
from dataclasses import dataclass
from types import new_class
from typing import Any, TypedDict

import attrs
import pydantic
import pytest
from support.handling import received

from domainstream.errors import ConfigurationError, InvalidPayloadError, UnknownEventVersionError
from domainstream.event import BaseEvent, EventDecoder, EventEncoder, EventPayload
from domainstream.worker import EventConsumer, EventContext

EVENT_TYPE = "domain_coding_stay_coded"


class Ward(EventPayload):
    """A class within the owner's payload."""

    name: str
    beds: int


class StayCodedPayload(EventPayload):
    """What the owner sends."""

    stay_id: str
    codes: list[str]
    ward: Ward
    note: str | None = None


class StayCoded(BaseEvent[StayCodedPayload]):
    """The owner's event."""

    event_type = EVENT_TYPE


class UnitStruct(EventPayload):
    """The ward, as a reader sees it."""

    name: str


class StructPayload(EventPayload):
    """A reader's struct."""

    stay_id: str
    ward: UnitStruct


@dataclass
class UnitDataclass:
    """The ward, as a reader sees it."""

    name: str


@dataclass
class DataclassPayload:
    """A reader's dataclass."""

    stay_id: str
    ward: UnitDataclass


@attrs.frozen
class UnitAttrs:
    """The ward, as a reader sees it."""

    name: str


@attrs.frozen
class AttrsPayload:
    """A reader's attrs class."""

    stay_id: str
    ward: UnitAttrs


class UnitDict(TypedDict):
    """The ward, as a reader sees it."""

    name: str


class DictPayload(TypedDict):
    """A reader's typed dictionary."""

    stay_id: str
    ward: UnitDict


class UnitModel(pydantic.BaseModel):
    """The ward, as a reader sees it."""

    name: str


class ModelPayload(pydantic.BaseModel):
    """A reader's pydantic model."""

    stay_id: str
    ward: UnitModel


PAYLOADS = [StructPayload, DataclassPayload, AttrsPayload, DictPayload, ModelPayload]
CODED = StayCoded(
    aggregate_id="stay-1", payload=StayCodedPayload(stay_id="stay-1", codes=["I21.0"], ward=Ward(name="west", beds=3))
)


def reader(payload_type: Any, version: int = 1, **more: Any) -> Any:
    """Return a class that reads the owner's event with a payload of this type."""
    attributes = {"event_type": EVENT_TYPE, "version": version, **more}
    return new_class("CodedStay", (BaseEvent[payload_type],), {}, lambda fields: fields.update(attributes))


def message(version: int = 1, **fields: Any) -> bytes:
    """Return the owner's message with another version of its payload, and with other fields."""
    text = json.loads(EventEncoder("coding").encode(CODED))
    text["dataschema"] = f"{text['dataschema'].rpartition('/')[0]}/{version}"
    text["data"] = {**text["data"], **fields}
    return json.dumps(text).encode()


@pytest.mark.parametrize("payload_type", PAYLOADS)
async def test_handler_gets_the_fields_that_its_class_names(payload_type: Any) -> None:
    """A handler of a reader gets the owner's event with the fields of its own payload, of whatever kind that is."""
    consumer = EventConsumer("valuation")
    handled: list[Any] = []

    async def price_stay(event: Any, context: EventContext) -> None:
        """Keep the event."""
        handled.append(event)

    consumer.on(reader(payload_type))(price_stay)
    await consumer.handle(received(CODED))
    (event,) = handled
    payload = event.payload if isinstance(event.payload, dict) else vars_of(event.payload)
    ward = payload["ward"] if isinstance(payload["ward"], dict) else vars_of(payload["ward"])
    assert (event.id, event.occurred_at, event.aggregate_id) == (CODED.id, CODED.occurred_at, "stay-1")
    assert (payload["stay_id"], ward) == ("stay-1", {"name": "west"})


def vars_of(value: Any) -> dict[str, Any]:
    """Return the fields of an object."""
    names = getattr(type(value), "__struct_fields__", None) or type(value).__annotations__
    return {name: getattr(value, name) for name in names}


@pytest.mark.parametrize("payload_type", PAYLOADS)
def test_fields_that_the_owner_adds_are_ignored(payload_type: Any) -> None:
    """A field that the owner adds, with a default and without a new version, does not disturb a reader."""
    decoder = EventDecoder([reader(payload_type)])
    before, after = decoder.decode(message()), decoder.decode(message(added={"deep": [1]}))
    assert before == after


def test_missing_field_is_named() -> None:
    """A field that a reader needs and the message lacks is refused with its place and its name."""
    with pytest.raises(InvalidPayloadError, match=r"\$\.ward.*name"):
        EventDecoder([reader(StructPayload)]).decode(message(ward={"beds": 1}))


def test_newer_version_is_refused_by_a_reader() -> None:
    """A version that is newer than the reader's is refused with both versions, although its fields would fit."""
    with pytest.raises(UnknownEventVersionError, match="version 2 is newer than version 1 of CodedStay"):
        EventDecoder([reader(StructPayload)]).decode(message(2))


def test_older_version_is_refused_without_upcasters() -> None:
    """A version that is older than the reader's is refused with the upcaster to add."""
    with pytest.raises(UnknownEventVersionError, match=r"no upcaster from version 1 to 2; add .*CodedStay"):
        EventDecoder([reader(StructPayload, version=2)]).decode(message(1))


def rename_unit(payload: dict[str, Any]) -> dict[str, Any]:
    """Make version 2 of version 1: the unit is called ward; the owner's upcaster, which keeps all other fields."""
    return {"ward": payload["unit"], **payload}


def test_upcasters_of_the_owner_serve_a_reader() -> None:
    """The owner's upcasters, which convert whole payloads, bring old messages to a reader as well."""
    decoder = EventDecoder([reader(StructPayload, version=2, upcasters={1: rename_unit})])
    old = json.loads(message(1, unit={"name": "east", "beds": 1}))
    del old["data"]["ward"]
    read: Any = decoder.decode(json.dumps(old))
    assert read.payload == StructPayload(stay_id="stay-1", ward=UnitStruct(name="east"))


def test_owner_and_reader_in_one_consumer_are_refused() -> None:
    """A consumer that has a handler of the owner's class refuses one of a reader, and names both classes."""
    consumer = EventConsumer("valuation")

    async def handle(event: Any, context: EventContext) -> None:
        """Do nothing."""

    consumer.on(StayCoded)(handle)
    with pytest.raises(ConfigurationError, match="StayCoded and CodedStay share the event type"):
        consumer.on(reader(StructPayload))(handle)
