"""Payloads as they were when somebody wrote them down: part of `model`. Pure."""

import msgspec


class FieldSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field as it was.

    Attributes:
        type: Its type, in the one spelling of `spelling`.

        required: Whether it had no default.
    """

    type: str
    required: bool = True


class ShapeSnapshot(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A class that a payload is made of, as it was.

    Attributes:
        fields: Its fields; empty for an enum.

        members: The values of an enum, sorted; None for a class with fields.
    """

    fields: dict[str, FieldSnapshot] = {}
    members: list[str] | None = None


class EventSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as it was.

    Attributes:
        event: The class's name.

        version: Its version.

        payload: The name of its payload.

        types: What the payload is made of, by name.
    """

    event: str
    version: int
    payload: str
    types: dict[str, ShapeSnapshot]
