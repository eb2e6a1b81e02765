"""Refuse JSON that is too large, too deep or ambiguous, before anything is built from it.

Parsers differ in what they make of duplicate keys, huge integers and `__proto__`; a message must mean one thing to
every consumer in every language. All checks work on whole byte strings at the speed of C, the cheapest first, so that
refusing costs no more than reading: Python code never runs once per character or value, except over the brackets of a
message that has many and the digits of one that has many long numbers.
"""

import re
from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import Any, TypeVar

import msgspec

from domainstream.errors import HostileJsonError
from domainstream.settings import MessageLimits

SAFE_INTEGER = 2**53 - 1
"""The largest integer that Node.js keeps exact (`Number.MAX_SAFE_INTEGER`)."""

ResultT = TypeVar("ResultT")


def _all_but(wanted: bytes) -> bytes:
    return bytes(set(range(256)) - set(wanted))


_SAFE_DIGITS = b"%d" % SAFE_INTEGER
_LONG_INTEGERS = re.compile(rb"(?<![\d.eE+-])-?(\d{%d,})(?![\d.eE])" % len(_SAFE_DIGITS)).findall
_MANY_DIGITS = b"0" * len(_SAFE_DIGITS)
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_AS_PARENTHESES = bytes.maketrans(b"[{]}", b"(())")
_STEP = bytes.maketrans(b"()", b"\x01\xff")
_PROTO_KEYS = (b'{"__proto__":', b',"__proto__":')
_SURROGATE_PAIRS = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]", re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]").search

_ALL_BUT_NUMBERS = _all_but(b'0123456789.eE+-,"')
_ALL_BUT_STRUCTURE = _all_but(b'[]{}:"')

_skim: Callable[[bytes], msgspec.Raw] = msgspec.json.Decoder(msgspec.Raw).decode
_parse: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_write = msgspec.json.Encoder().encode


def guard_json(data: bytes, limits: MessageLimits) -> None:
    """Raise `HostileJsonError` unless `data` is JSON that every parser reads in the same way, within `limits`."""
    if len(data) > limits.max_bytes:
        raise HostileJsonError(f"it has {len(data):,} bytes, at most {limits.max_bytes:,} are allowed")
    _read(bytes.decode, data, limits)
    _read(_skim, data, limits)
    structure = _structure(data) if _may_have_many_containers(data, limits) else None
    if structure is not None:
        _refuse_many_containers(structure, limits)
    if limits.strict_integers and has_unsafe_integer(data):
        raise HostileJsonError(f"an integer is beyond ±{SAFE_INTEGER}; send it as a string")
    # Written again, it has no white space, one spelling per character, and each key once.
    canonical = _write(_read(_parse, data, limits))
    if canonical != data and _keys(_structure(canonical)) != _keys(structure or _structure(data)):
        raise HostileJsonError("an object has the same key twice")
    if any(key in canonical for key in _PROTO_KEYS):
        raise HostileJsonError("an object has the key __proto__")


def may_need_guarding(payload: bytes, limits: MessageLimits) -> bool:
    """Tell at little cost whether a payload that we wrote ourselves is one that `guard_json` may refuse."""
    return (
        _may_have_many_containers(payload, limits)
        or b"__proto__" in payload
        or (limits.strict_integers and has_unsafe_integer(payload))
    )


def has_unsafe_integer(data: bytes) -> bool:
    """Tell whether sound JSON holds an integer that Node.js would round."""
    if _MANY_DIGITS not in data.translate(_DIGITS_AS_ZERO):
        return False
    integers = _LONG_INTEGERS(_outside_strings(data, _ALL_BUT_NUMBERS))
    return any(len(digits) > len(_SAFE_DIGITS) or digits > _SAFE_DIGITS for digits in integers)


def _read(parse: Callable[[bytes], ResultT], data: bytes, limits: MessageLimits) -> ResultT:
    try:
        return parse(data)
    except RecursionError:
        raise _too_deep(limits) from None
    except UnicodeDecodeError:
        raise HostileJsonError("it is not UTF-8") from None
    except msgspec.ValidationError:
        raise HostileJsonError("a number is out of range") from None
    except msgspec.DecodeError as error:
        raise HostileJsonError(f"it is not JSON: {_why_not_json(data) or error}") from None


def _why_not_json(data: bytes) -> str | None:
    """Name the likely cause where the parser knows no more than a position."""
    if _SURROGATE(_SURROGATE_PAIRS.sub(b"", data.replace(b"\\\\", b""))):
        return "a text holds a lone surrogate"
    if any(word in data and word in _outside_strings(data) for word in (b"NaN", b"Infinity")):
        return "a number is NaN or infinite"
    return None


def _too_deep(limits: MessageLimits) -> HostileJsonError:
    return HostileJsonError(f"it nests deeper than {limits.max_depth} levels")


def _outside_strings(data: bytes, unwanted: bytes = b"") -> bytes:
    """Cut all strings out of sound JSON, and all bytes of `unwanted`, which must not hold the quote."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.translate(None, unwanted).split(b'"')[::2])


def _structure(data: bytes) -> bytes:
    """Keep the brackets, as parentheses, and the colons."""
    return _outside_strings(data, _ALL_BUT_STRUCTURE).translate(_AS_PARENTHESES)


def _may_have_many_containers(data: bytes, limits: MessageLimits) -> bool:
    """Tell whether there are enough brackets for any limit; the envelope of a payload is one container itself."""
    return data.count(b"[") + data.count(b"{") >= min(limits.max_depth, limits.max_containers)


def _nested_deeper(structure: bytes, limit: int) -> bool:
    """Count +1 for each opening bracket and -1 for each closing one; the highest sum is the depth."""
    # Without the innermost pairs it is one level less, and in most messages little is left to count.
    inner = structure.translate(None, b":").replace(b"()", b"")
    return b"(" * limit in inner or limit in accumulate(array("b", inner.translate(_STEP)))


def _refuse_many_containers(structure: bytes, limits: MessageLimits) -> None:
    containers = structure.count(b"(")
    if containers > limits.max_containers:
        raise HostileJsonError(
            f"it has {containers:,} arrays and objects, at most {limits.max_containers:,} are allowed"
        )
    if _nested_deeper(structure, limits.max_depth):
        raise _too_deep(limits)


def _keys(structure: bytes) -> int:
    return structure.count(b":")
