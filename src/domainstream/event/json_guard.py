"""Rejects JSON that is too large, too deep or ambiguous, before any object is built from it.

Why: parsers disagree about duplicate keys, huge integers and `__proto__`. One consumer would take the first of two
values and another the last; Node.js would round an integer that Python keeps exact; an object with the key `__proto__`
may change its own prototype in JavaScript. A message must mean one thing to every consumer in every language, so
anything ambiguous is an error. Deep nesting and huge numbers of containers exhaust a reader's stack and memory although
the message itself is small.

How: Python code that looks at each character or value costs more than the parsing that it protects. So every check is
a handful of operations on whole byte strings, which run at the speed of C, and the cheapest come first. Strings are cut
out, what is left is reduced to brackets and colons, and then counting characters answers most questions. Two loops in
Python remain, each behind a cheap test that ordinary messages do not pass: over the brackets of a message that has
many, and over the digits of long numbers.
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


def _all_but(kept: bytes) -> bytes:
    return bytes(set(range(256)) - set(kept))


# An integer is unsafe if it has more digits than SAFE_INTEGER, or as many and is larger. Written with all digits as 0,
# a message without a run of that many digits cannot hold one; only the others are searched with a pattern.
_SAFE_DIGITS = b"%d" % SAFE_INTEGER
_LONG_INTEGERS = re.compile(rb"(?<![\d.eE+-])-?(\d{%d,})(?![\d.eE])" % len(_SAFE_DIGITS)).findall
_MANY_DIGITS = b"0" * len(_SAFE_DIGITS)
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"0" * 9)

# Nesting does not depend on the kind of bracket, so one kind is enough; as signed bytes, +1 and -1, they can be added.
_AS_PARENTHESES = bytes.maketrans(b"[{]}", b"(())")
_DEPTH_CHANGE = bytes.maketrans(b"()", b"\x01\xff")
_PROTO_KEYS = (b'{"__proto__":', b',"__proto__":')
_SURROGATE_PAIRS = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]", re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]").search

_ALL_BUT_NUMBERS = _all_but(b'0123456789.eE+-,"')
_ALL_BUT_STRUCTURE = _all_but(b'[]{}:"')

_skim: Callable[[bytes], msgspec.Raw] = msgspec.json.Decoder(msgspec.Raw).decode
_parse: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def guard_json(data: bytes, limits: MessageLimits) -> None:
    """Raise `HostileJsonError` unless `data` is within `limits` and every parser reads it in the same way."""
    if len(data) > limits.max_bytes:
        raise HostileJsonError(f"it has {len(data):,} bytes, at most {limits.max_bytes:,} are allowed")
    _parse_with(bytes.decode, data, limits)
    _parse_with(_skim, data, limits)
    structure = None
    if _may_have_many_containers(data, limits):
        structure = _structure(data)
        containers = structure.count(b"(")
        if containers > limits.max_containers:
            raise HostileJsonError(
                f"it has {containers:,} arrays and objects, at most {limits.max_containers:,} are allowed"
            )
        if _nests_deeper(structure, limits.max_depth):
            raise _too_deep(limits)
    if limits.strict_integers and has_unsafe_integer(data):
        raise HostileJsonError(f"an integer is beyond ±{SAFE_INTEGER}; send it as a string")
    # Parsed and encoded again, the message has no white space, one spelling per character, and each key once. Fewer
    # colons than before mean that a key was there twice; and `__proto__` can be found however it was escaped.
    canonical = _encode(_parse_with(_parse, data, limits))
    if canonical != data and _structure(canonical).count(b":") != (structure or _structure(data)).count(b":"):
        raise HostileJsonError("an object has the same key twice")
    if any(key in canonical for key in _PROTO_KEYS):
        raise HostileJsonError("an object has the key __proto__")


def may_be_unsafe(payload: bytes, limits: MessageLimits) -> bool:
    """Return, at little cost, whether `guard_json` might reject a payload that this process encoded itself.

    The encoder wrote it, so it is valid UTF-8 and valid JSON without duplicate keys.
    """
    return (
        _may_have_many_containers(payload, limits)
        or b"__proto__" in payload
        or (limits.strict_integers and has_unsafe_integer(payload))
    )


def has_unsafe_integer(data: bytes) -> bool:
    """Return whether valid JSON holds an integer that Node.js would round."""
    if _MANY_DIGITS not in data.translate(_DIGITS_AS_ZERO):
        return False
    integers = _LONG_INTEGERS(_outside_strings(data, _ALL_BUT_NUMBERS))
    return any(len(digits) > len(_SAFE_DIGITS) or digits > _SAFE_DIGITS for digits in integers)


def _parse_with(parse: Callable[[bytes], ResultT], data: bytes, limits: MessageLimits) -> ResultT:
    try:
        return parse(data)
    except RecursionError:
        raise _too_deep(limits) from None
    except UnicodeDecodeError:
        raise HostileJsonError("it is not UTF-8") from None
    except msgspec.ValidationError:
        raise HostileJsonError("a number is out of range") from None
    except msgspec.DecodeError as error:
        raise HostileJsonError(f"it is not JSON: {_likely_cause(data) or error}") from None


def _likely_cause(data: bytes) -> str | None:
    """Name two mistakes that are common in other languages' encoders, where the parser only reports a position."""
    if _SURROGATE(_SURROGATE_PAIRS.sub(b"", data.replace(b"\\\\", b""))):
        return "a string holds a lone surrogate"
    if any(word in data and word in _outside_strings(data) for word in (b"NaN", b"Infinity")):
        return "a number is NaN or infinite"
    return None


def _too_deep(limits: MessageLimits) -> HostileJsonError:
    return HostileJsonError(f"it nests deeper than {limits.max_depth} levels")


def _outside_strings(data: bytes, removed: bytes = b"") -> bytes:
    """Cut all strings out of valid JSON, and all bytes of `removed`, which must not include the quote."""
    # Without escaped backslashes and escaped quotes, every quote that is left begins or ends a string. So of the parts
    # between quotes, every second one is outside strings.
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.translate(None, removed).split(b'"')[::2])


def _structure(data: bytes) -> bytes:
    """Reduce valid JSON to its brackets, as parentheses, and its colons."""
    return _outside_strings(data, _ALL_BUT_STRUCTURE).translate(_AS_PARENTHESES)


def _may_have_many_containers(data: bytes, limits: MessageLimits) -> bool:
    """Return whether there are enough brackets to exceed a limit; those inside strings are counted as well.

    Not "more than": around a payload, the envelope is one more container.
    """
    return data.count(b"[") + data.count(b"{") >= min(limits.max_depth, limits.max_containers)


def _nests_deeper(structure: bytes, limit: int) -> bool:
    """Return whether the running sum of +1 per opening and -1 per closing bracket ever exceeds `limit`."""
    # Removing the innermost pairs lowers the depth by exactly one, and leaves little to add up in most messages.
    inner = structure.translate(None, b":").replace(b"()", b"")
    return b"(" * limit in inner or limit in accumulate(array("b", inner.translate(_DEPTH_CHANGE)))
