"""Shows payloads without the values of the fields that must not be seen."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

from domainstream.text import JSON_ERRORS
from domainstream.tools.check.sensitive import PAYLOAD

MASK: Final = "••••••"
LONGEST: Final = 64 * 1024
"""How many characters of a payload are shown."""


NOTHING: Final[Mapping[str, AbstractSet[str]]] = {}
"""No marked fields, as without the system's code."""


def shown_data(
    data: bytes | None, masked: AbstractSet[str], sensitive: Mapping[str, AbstractSet[str]] = NOTHING
) -> str:
    """Return an entry's or a job's data for a page: JSON indented and masked; only the size of anything else.

    `masked` holds the ends of names that are masked everywhere, `sensitive` the names of the marked fields by event
    type. What is not JSON cannot be masked, so it is not shown.
    """
    if data is None:
        return ""
    try:
        found = msgspec.json.decode(data)
    except JSON_ERRORS:
        return f"{len(data):,} bytes that are not JSON"
    shown = _masked_message(found, {_plain(name) for name in masked}, sensitive)
    text = msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} more characters"


def mask(value: Any, masked: AbstractSet[str], names: AbstractSet[str] = frozenset()) -> Any:
    """Return a value of JSON without what must not be seen, at any depth.

    That is the value of each member whose name ends with a masked one, or is one of `names`.
    """
    endings = tuple(masked)
    if isinstance(value, dict):
        return {
            name: MASK
            if item is not None and (name in names or _plain(name).endswith(endings))
            else mask(item, masked, names)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [mask(item, masked, names) for item in value]
    return value


def _masked_message(found: Any, masked: AbstractSet[str], sensitive: Mapping[str, AbstractSet[str]]) -> Any:
    """Mask a message: the marked fields of its event in the payload, those of all events where its type is unknown."""
    event_type = found.get("type") if isinstance(found, dict) else None
    if not isinstance(event_type, str) or event_type not in sensitive:
        return mask(found, masked, frozenset[str]().union(*sensitive.values()))
    names = sensitive[event_type]
    payload = mask({PAYLOAD: found.get(PAYLOAD)}, masked, names)
    return mask(found, masked) | (payload if PAYLOAD in found else {})


def _plain(name: str) -> str:
    """Return a name in the one spelling that is compared: `apiKey`, `api_key` and `API-Key` are one."""
    return name.replace("_", "").replace("-", "").lower()
