"""The checks for hostile JSON agree with a judge of their own: the standard library's parser and some plain Python."""

import json
import math
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domainstream.errors import HostileJsonError
from domainstream.event.json_guard import guard_json
from domainstream.settings import MessageLimits

pytestmark = pytest.mark.slow

LIMITS = MessageLimits(max_bytes=2000, max_depth=4)
LENIENT = MessageLimits(max_bytes=2000, max_depth=4, strict_integers=False)
SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
WORDS = [
    "",
    "a",
    "b",
    "__proto__",
    'x"__proto__',
    ',"__proto__',
    "{",
    "]",
    ':"',
    "\\",
    "\n",
    "é",
    "\U0001f3e5",
    "\ud800",
    "NaN",
]
NUMBERS = [
    "0",
    "-0",
    "9007199254740991",
    "9007199254740992",
    "-9007199254740992",
    "12345678901234567890.5",
    "1e300",
    "1e999",
]


def passes_here(data: bytes, limits: MessageLimits) -> bool:
    """Say whether domainstream reads `data`."""
    try:
        guard_json(data, limits)
    except HostileJsonError:
        return False
    return True


def passes_judge(data: bytes, limits: MessageLimits) -> bool:
    """Say whether `data` is sound by the rules as one would write them down in plain Python."""
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=object_of_pairs,
            parse_int=lambda digits: safe_integer(digits) if limits.strict_integers else int(digits),
            parse_float=finite_float,
            parse_constant=raise_problems,
        )
    except ValueError:
        return False
    return len(data) <= limits.max_bytes and depth(value) <= limits.max_depth and is_unicode(value)


def raise_problems(_: str) -> NoReturn:
    """Refuse a value."""
    raise ValueError


def object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs, refusing equal keys and `__proto__`."""
    keys = [key for key, _ in pairs]
    return raise_problems("key") if len(set(keys)) < len(keys) or "__proto__" in keys else dict(pairs)


def safe_integer(digits: str) -> int:
    """Read an integer that Node.js keeps."""
    return int(digits) if abs(int(digits)) < 2**53 else raise_problems(digits)


def finite_float(digits: str) -> float:
    """Read a float that is not too large."""
    return float(digits) if math.isfinite(float(digits)) else raise_problems(digits)


def depth(value: Any) -> int:
    """Count the levels of arrays and objects."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def is_unicode(value: Any) -> bool:
    """Say whether no text of a value holds half a surrogate pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in json.dumps(value, ensure_ascii=False))


def spellings(letter: str) -> list[str]:
    """Return the ways in which JSON can write a letter."""
    units = letter.encode("utf-16-be", "surrogatepass")
    escaped = "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    raw = [] if letter in '"\\' or letter < " " or "\ud800" <= letter <= "\udfff" else [letter]
    return [
        *raw,
        escaped,
        escaped[:2] + escaped[2:].upper().replace("\\U", "\\u"),
        *filter(None, [SHORT_ESCAPES.get(letter)]),
    ]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Draw a JSON string in some spelling."""
    word = draw(st.sampled_from(WORDS) | st.text(max_size=4))
    return '"' + "".join(draw(st.sampled_from(spellings(letter))) for letter in word) + '"'


SPACE = st.sampled_from(["", "", "", " ", "\n\t"])
SCALARS = st.one_of(
    st.sampled_from(["null", "true", "false", *NUMBERS]),
    st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    texts(),
)


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Draw an array or an object, whose keys may repeat."""
    items = st.tuples(SPACE, inner, SPACE).map("".join)
    pairs = st.tuples(texts(), SPACE, st.just(":"), items).map("".join)
    return st.lists(items, max_size=4).map(",".join).map("[{}]".format) | st.lists(pairs, max_size=4).map(",".join).map(
        braced
    )


def braced(pairs: str) -> str:
    """Put braces around pairs."""
    return "{" + pairs + "}"


DOCUMENTS = st.recursive(SCALARS, containers, max_leaves=12).map(str.encode)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a document with a few bytes removed, changed or added."""
    data = bytearray(draw(DOCUMENTS))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(start + 2, len(data))))
        data[start:stop] = draw(
            st.sampled_from([b"", b'"', b"\\", b"{", b"[", b"]", b"}", b",", b":", b"0", b"-", b"e", b"\xff"])
        )
    return bytes(data)


@settings(deadline=None, max_examples=300)
@given(data=DOCUMENTS)
def test_document_is_judged_as_the_standard_library_judges_it(data: bytes) -> None:
    """Documents with repeated keys, nesting, long numbers and surrogates pass here exactly if they pass the judge.

    So they do when integers of any size are allowed.
    """
    assert passes_here(data, LIMITS) == passes_judge(data, LIMITS)
    assert passes_here(data, LENIENT) == passes_judge(data, LENIENT)


@settings(deadline=None, max_examples=300)
@given(data=mutated())
def test_spoilt_document_is_judged_as_the_standard_library_judges_it(data: bytes) -> None:
    """Documents with bytes removed, changed and added pass here exactly if they pass the judge."""
    assert passes_here(data, LIMITS) == passes_judge(data, LIMITS)


@settings(deadline=None)
@given(data=st.binary(max_size=40))
def test_any_bytes_are_judged_as_the_standard_library_judges_them(data: bytes) -> None:
    """Bytes of no meaning pass here exactly if they pass the judge."""
    assert passes_here(data, LIMITS) == passes_judge(data, LIMITS)
