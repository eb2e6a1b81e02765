"""The contract files: how events were written on the wire when their snapshots were taken.

`docs/contract-files.md` documents the format. A change of it gets a new number, and `snapshots` reads the old ones.
"""

from typing import Final

import msgspec

FORMAT: Final = 2
"""The format that is written."""


class FieldSnapshot(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A field as it was."""

    type: str
    """Its type, as `reading.types.TypeNormalizer` writes it, with one word for all arrays and one for all objects."""

    required: bool
    """Whether it had no default."""

    constraints: dict[str, dict[str, bool | int | float | str]] = {}
    """What its values had to satisfy, by where in the type they are."""

    reads: list[str] = []
    """The names under which it was read, where that was not its own name alone."""

    sensitive: bool = False
    """Whether it was marked sensitive."""


class TagSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What distinguished the classes of a union."""

    field: str
    """The field that held it."""

    value: int | str
    """What that held."""


class ShapeSnapshot(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A class that a payload is made of, as it was."""

    fields: dict[str, FieldSnapshot] = {}
    """Its fields by their names on the wire; empty for an enum."""

    array: list[str] | None = None
    """The order of the fields of a class that was written as an array; None for an object."""

    tag: TagSnapshot | None = None
    """What distinguished it from other classes."""

    closed: bool = False
    """Whether it could not be read where it had a field more."""

    computed: list[str] = []
    """Options whose value only running the code gives."""

    members: list[int | str] | None = None
    """The values of an enum, sorted; None for a class with fields."""

    lenient: bool = False
    """Whether an enum read values that were none of its members."""


class EventSnapshot(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An event as it was."""

    event: str
    """The class's name."""

    version: int
    """Its version."""

    payload: str
    """The name of its payload."""

    types: dict[str, ShapeSnapshot]
    """What the payload is made of, by name."""

    partitions: int = 1
    """Over how many streams its channel was spread."""


class ContractFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file of the newest format."""

    format: int
    """The format's number."""

    events: dict[str, EventSnapshot]
    """The events by type."""
