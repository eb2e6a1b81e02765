"""Shows payloads without the values of the fields that must not be seen."""

from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

from domainstream.text import JSON_ERRORS

MASK: Final = "••••••"
LONGEST: Final = 64 * 1024
"""How many characters of a payload are shown."""


def shown_data(data: bytes | None, masked: AbstractSet[str]) -> str:
    """Return an entry's or a job's data for a page: JSON indented and masked; only the size of anything else.

    What is not JSON cannot be masked, so it is not shown.
    """
    if data is None:
        return ""
    try:
        found = msgspec.json.decode(data)
    except JSON_ERRORS:
        return f"{len(data):,} bytes that are not JSON"
    shown = mask(found, {_plain(name) for name in masked})
    text = msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} more characters"


def mask(value: Any, masked: AbstractSet[str]) -> Any:
    """Return a value of JSON without the values of all members whose names end with a masked one, at any depth."""
    endings = tuple(masked)
    if isinstance(value, dict):
        return {
            name: MASK if item is not None and _plain(name).endswith(endings) else mask(item, masked)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [mask(item, masked) for item in value]
    return value


def _plain(name: str) -> str:
    """Return a name in the one spelling that is compared: `apiKey`, `api_key` and `API-Key` are one."""
    return name.replace("_", "").replace("-", "").lower()
