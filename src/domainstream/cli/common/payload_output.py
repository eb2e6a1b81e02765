"""Shows the data of an entry where the user asked for it: as the JSON that it is, or as bytes."""

from base64 import b64encode
from typing import Any

import msgspec
from msgspec import Raw, Struct

from domainstream.text import printable
from domainstream.tools.common.formatting import NONE


class Content(Struct, frozen=True, omit_defaults=True):
    """An entry's data in a JSON record; both fields are None without data."""

    data: Any = None
    """The JSON with its numbers as written in the entry, without whitespace."""

    data_base64: str | None = None
    """The bytes, if they are not JSON."""


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
    """Return data indented, one string per line; anything that is not JSON on one line."""
    if data is None or content_of(data).data is None:
        return [text_of(data)]
    return [printable(line) for line in msgspec.json.format(data, indent=2).decode().splitlines()]
