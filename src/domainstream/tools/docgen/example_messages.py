"""An example of a message, made by the encoder that makes real ones."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from domainstream.event import EventEncoder, read_message
from domainstream.event.payload_codec import payload_codec_of
from domainstream.tools.docgen.draft_07 import Schema
from domainstream.tools.docgen.examples import example_of
from domainstream.tools.docgen.system import EventClass

logger = logging.getLogger("domainstream.cli")
_ID: Final = "019b7ca9-8c88-7000-8000-000000000001"
_WHEN: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def example_message(event: EventClass, service: str, payload: Schema, components: Mapping[str, Schema]) -> str | None:
    """Return a message as indented JSON; None for a payload that a schema alone does not tell how to make."""
    aggregate = "example-1"
    try:
        value = example_of(payload, components)
        codec = payload_codec_of(event)
        envelope = {"specversion": "1.0", "id": _ID, "source": "", "type": codec.event_type, "time": _WHEN}
        message = read_message(msgspec.json.encode({**envelope, "subject": aggregate, "data": value}))
        made: Any = event(
            aggregate_id=aggregate,
            payload=codec.read(message, message.data),
            id=_ID,
            occurred_at=_WHEN,
            correlation_id=None,
            causation_id=None,
        )
        return json.dumps(json.loads(EventEncoder(service).encode(made)), indent=2, ensure_ascii=False)
    except Exception as error:  # noqa: BLE001 - a payload type may demand anything, and run any code of the user's
        # The document is good without; `Meta(examples=[...])` on the field mends it.
        logger.debug("no example of %s: %s", event.__name__, type(error).__name__)
        return None
