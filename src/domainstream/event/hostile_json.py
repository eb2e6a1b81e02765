"""Refuse JSON that is too large, too deep or ambiguous, before anything is built from it. Called by `codec`.

Parsers differ in what they make of duplicate keys, huge integers and `__proto__`; a message must mean one thing to every
consumer in every language. All checks work on whole byte strings at the speed of C, so that refusing costs no more than
reading: Python code never runs once per character or value, except over the brackets of a message that has many.
"""

import re
from array import array
from itertools import accumulate

import msgspec

from domainstream.config import MessageLimits
from domainstream.errors import HostileJsonError

SAFE_INTEGER = 2**53 - 1
"""The largest integer that Node.js keeps exact (`Number.MAX_SAFE_INTEGER`)."""

_MANY_DIGITS = re.compile(rb"[0-9]{16}").search
_LONG_INTEGER = re.compile(rb"(?<![\d.eE+-])-?\d{16,}(?![\d.eE])").finditer
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_PROTO_KEYS = (b'{"__proto__":', b',"__proto__":')


def refuse_hostile_json(data: bytes, limits: MessageLimits) -> None:
    """Raise `HostileJsonError` unless `data` is JSON that every parser reads in the same way, within `limits`."""
    if len(data) > limits.max_bytes:
        raise HostileJsonError(f"it has {len(data):,} bytes, at most {limits.max_bytes:,} are allowed")
    canonical = _canonical(data, limits)
    if _nested_deeper(data, limits.max_depth):
        raise _too_deep(limits)
    if _lines(data) != _lines(canonical):
        raise HostileJsonError("an object has the same key twice")
    if any(key in canonical for key in _PROTO_KEYS):
        raise HostileJsonError("an object has the key __proto__")
    if limits.strict_integers and has_unsafe_integer(data):
        raise HostileJsonError(f"an integer is beyond ±{SAFE_INTEGER}; send it as a string")


def has_unsafe_integer(data: bytes) -> bool:
    """Tell whether sound JSON holds an integer that Node.js would round."""
    if not _MANY_DIGITS(data):
        return False
    return any(abs(int(found.group())) > SAFE_INTEGER for found in _LONG_INTEGER(_without_strings(data)))


def _canonical(data: bytes, limits: MessageLimits) -> bytes:
    """Parse and write again: without white space, with one spelling per character, and with each key once."""
    try:
        return msgspec.json.encode(msgspec.json.decode(data))
    except RecursionError:
        raise _too_deep(limits) from None
    except msgspec.ValidationError:
        raise HostileJsonError("a number is out of range") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HostileJsonError(f"it is not JSON: {_harmless(error)}") from None


def _harmless(error: Exception) -> str:
    """Keep the parser's word for what is wrong; a Unicode error's text would quote the message."""
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _too_deep(limits: MessageLimits) -> HostileJsonError:
    return HostileJsonError(f"it nests deeper than {limits.max_depth} levels")


def _without_strings(data: bytes) -> bytes:
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(unescaped.split(b'"')[::2])


def _nested_deeper(data: bytes, limit: int) -> bool:
    """Count +1 for each opening bracket and -1 for each closing one; the highest sum is the depth."""
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    steps = array("b", _without_strings(data).translate(_STEP, _NOT_BRACKETS))
    return max(accumulate(steps), default=0) > limit


def _lines(data: bytes) -> int:
    """Count the lines of sound JSON written one key or item a line: a repeated key is one line more than its object has."""
    return msgspec.json.format(data, indent=1).count(b"\n")
