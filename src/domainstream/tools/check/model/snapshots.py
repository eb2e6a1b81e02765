"""Payloads as they were when their snapshot was written."""

import msgspec


class FieldSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field as it was."""

    type: str
    """Its type, as `type_normalizer` writes it."""

    required: bool = True
    """Whether it had no default."""


class ShapeSnapshot(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A class that a payload is made of, as it was."""

    fields: dict[str, FieldSnapshot] = {}
    """Its fields; empty for an enum."""

    members: list[str] | None = None
    """The values of an enum, sorted; None for a class with fields."""


class EventSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as it was."""

    event: str
    """The class's name."""

    version: int
    """Its version."""

    payload: str
    """The name of its payload."""

    types: dict[str, ShapeSnapshot]
    """What the payload is made of, by name."""
