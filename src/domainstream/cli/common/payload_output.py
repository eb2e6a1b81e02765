"""The data of an entry, as it may be shown: the JSON that it is, or its bytes. Used where somebody asked for data."""

from base64 import b64encode
from typing import Any

import msgspec
from msgspec import Raw, Struct

from domainstream.cli.common.formatting import NONE, printable


class Content(Struct, frozen=True, omit_defaults=True):
    """An entry's data in a JSON record; without data both are None."""

    data: Any = None
    """The JSON as it stands in the entry, numbers and all, without white space."""

    data_base64: str | None = None
    """The bytes, where they are no JSON."""


def content_of(data: bytes | None) -> Content:
    """Return data for a JSON record."""
    if data is None:
        return Content()
    try:
        msgspec.json.decode(data)
        return Content(Raw(msgspec.json.format(data, indent=-1)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Content(data_base64=b64encode(data).decode())


def text_of(data: bytes | None) -> str:
    """Return data on one line for a person."""
    return NONE if data is None else printable(data)


def pretty_lines(data: bytes | None) -> list[str]:
    """Return data on as many lines as are good to read."""
    if data is None or content_of(data).data is None:
        return [text_of(data)]
    return [printable(line) for line in msgspec.json.format(data, indent=2).decode().splitlines()]
