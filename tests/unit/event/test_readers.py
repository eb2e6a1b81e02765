"""Consumers with a class of their own for an event: they read the fields that they name, and ignore all others."""

from dataclasses import dataclass
from typing import TypedDict

import attrs
import pydantic

from domainstream.event import BaseEvent, EventPayload

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
