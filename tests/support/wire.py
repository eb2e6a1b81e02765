"""Real writers and readers of an event's two versions: whether they understand each other decides what is a change."""

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from domainstream.errors import EventDecodingError
from domainstream.event.codec import EventDecoder, EventEncoder

_numbers = itertools.count()


def imported(path: Path) -> ModuleType:
    """Return a file as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"wire_{next(_numbers)}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def message(writer: ModuleType, sample: str) -> tuple[bytes, Any]:
    """Return what the writer sends for the payload that `sample` makes, and that payload.

    A sample that is JSON is sent as it is, because it comes from code that is neither of the two.
    """
    if sample.startswith(("{", "[")):
        event = writer.StayCreated.__mro__[1](aggregate_id="stay-1", payload=None)
        envelope = {
            "specversion": "1.0",
            "id": event.id,
            "source": "/services/coding",
            "subject": "stay-1",
            "type": writer.StayCreated.event_type.value,
            "time": event.occurred_at,
        }
        return msgspec.json.encode(envelope | {"data": msgspec.Raw(sample.encode())}), None
    payload = eval(sample, vars(writer))  # noqa: S307 - written in the tests
    return EventEncoder("coding").encode(writer.StayCreated(aggregate_id="stay-1", payload=payload)), payload


def reads(reader: ModuleType, data: bytes, payload: Any) -> bool:
    """Return whether the reader takes the message and finds in it what was put in under the same name."""
    try:
        got = EventDecoder([reader.StayCreated]).decode(data).payload
    except EventDecodingError:
        return False
    return agree(plain(payload), plain(got))


def agree(written: Any, found: Any) -> bool:
    """Return whether two payloads have the same values under the names that both of them have."""
    if isinstance(written, dict) and isinstance(found, dict):
        return all(agree(value, found[name]) for name, value in written.items() if name in found)
    return bool(written == found)


def plain(value: Any) -> Any:
    """Return a payload's attributes as plain values, those of what is inside included."""
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    names = next(
        (
            getattr(type(value), known)
            for known in ("__struct_fields__", "model_fields", "__dataclass_fields__", "_fields")
            if hasattr(type(value), known)
        ),
        [attribute.name for attribute in getattr(type(value), "__attrs_attrs__", ())],
    )
    if names:
        return {name: plain(getattr(value, name)) for name in names}
    return {} if value is None else getattr(value, "value", value)
