"""The index of a stream: which of its entries are about an aggregate, belong to a transaction, or are an event.

Beside each stream lies a record for each of its entries, in their order: hashes of the three ids. The script that adds
entries adds their records in the same step, and removes them once the entries are gone. Hashes are short and collide,
so whoever finds an entry must look at it. An index may be incomplete: other programs add entries too, and a publisher
that cannot add records publishes nevertheless. Whoever searches compares the number of records with that of the
entries.
"""

from collections.abc import Sequence
from struct import Struct as Packed
from typing import Final
from zlib import crc32

import msgspec
from msgspec import Struct

from domainstream.producer import OutgoingMessage
from domainstream.redis.keys import companion_key
from domainstream.redis.link import Arguments
from domainstream.redis.scripts import lua_text
from domainstream.text import JSON_ERRORS

INDEX: Final = lua_text("domainstream.publisher", "index")
"""The part of Lua that knows what the index looks like, and trims it. It stands behind that of the retention."""

ADD_TO_INDEX: Final = lua_text("domainstream.publisher", "add_to_index")
"""The part that adds records, behind `INDEX`."""

RECORDS_AT: Final = 7
"""Which argument of the script that adds batches has the records, counted from 1."""

_UNREADABLE: Final = b"\0" * 12
_pack = Packed(">III").pack


class _Ids(Struct, gc=False):
    id: str
    subject: str = ""
    correlationid: str | None = None


_read = msgspec.json.Decoder(_Ids).decode


def index_keys(stream: str) -> tuple[str, str]:
    """Return where the index of a stream lies: its list of records, and the string with the newest ones."""
    return companion_key(stream, "index"), companion_key(stream, "index:tail")


def hash_of(wanted: str) -> bytes:
    """Return what stands in the records of entries that have an id, and perhaps in those of others."""
    return crc32(wanted.encode(errors="surrogatepass")).to_bytes(4, "big")


def records_of(messages: Sequence[OutgoingMessage]) -> bytes:
    """Return the records of messages, in their order."""
    return b"".join(
        [
            _record(message.event_id, message.subject, message.correlation_id)
            if message.subject
            else _record_of_stored(message.data)
            for message in messages
        ]
    )


def without_index(call: Arguments) -> Arguments | None:
    """Return a call of the script that adds batches without its index; None if it has none."""
    keys = int(call[0])
    records = keys + RECORDS_AT
    if not call[records]:
        return None
    return (str(keys - 2), *call[1 : keys - 1], *call[keys + 1 : records], b"", *call[records + 1 :])


def _record(event_id: str, subject: str, correlation_id: str | None) -> bytes:
    own = crc32(event_id.encode())
    return _pack(crc32(subject.encode()), crc32(correlation_id.encode()) if correlation_id else own, own)


def _record_of_stored(data: bytes) -> bytes:
    try:
        ids = _read(data)
        return _record(ids.id, ids.subject, ids.correlationid)
    except (*JSON_ERRORS, UnicodeEncodeError):
        # Nobody who searches could read it either.
        return _UNREADABLE
