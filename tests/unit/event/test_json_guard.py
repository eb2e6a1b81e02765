"""Which JSON is refused before anything is built from it, and for which reason."""

from typing import Any

import pytest

from domainstream.errors import EventDecodingError, HostileJsonError
from domainstream.event import read_message
from domainstream.event.json_guard import guard_json
from domainstream.settings import MessageLimits

SAFE = 2**53 - 1
KIB_256 = 256 * 1024


def reason(data: bytes, **limits: Any) -> str:
    """Return why `data` is refused; the empty string when it is not."""
    try:
        guard_json(data, MessageLimits(**limits))
    except HostileJsonError as error:
        return error.reason
    return ""


def arrays(depth: int) -> bytes:
    """Return arrays nested `depth` levels deep."""
    return b"[" * depth + b"]" * depth


def objects(depth: int) -> bytes:
    """Return objects nested `depth` levels deep."""
    return b'{"a":' * depth + b"1" + b"}" * depth


def both(depth: int) -> bytes:
    """Return arrays and objects in turn, `depth` levels deep."""
    levels = [(b"[", b"]"), (b'{"a":', b"}")] * (depth // 2) + [(b"[", b"]")] * (depth % 2)
    return b"".join(opening for opening, _ in levels) + b"1" + b"".join(closing for _, closing in reversed(levels))


def with_siblings(depth: int) -> bytes:
    """Return arrays nested `depth` levels deep, with shallow arrays before each."""
    return b"[[[1]]," * (depth - 4) + arrays(4) + b"]" * (depth - 4)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"1", id="scalar"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b' \n\t\r{ "a" : [ 1 , true , null ] } \n', id="white space"),
        pytest.param(b'{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}', id="same key in different objects"),
        pytest.param('{"é":"\U0001f3e5","\\u00e8":"\\ud83c\\udfe5"}'.encode(), id="letters, raw and escaped"),
        pytest.param(b'{"a":"\\u0000\\"\\\\\\/\\b\\f\\n\\r\\t"}', id="every escape"),
        pytest.param(b'{"A":1,"a":2}', id="keys that differ in case"),
        pytest.param('{"\u00e9":1,"e\u0301":2}'.encode(), id="keys that look the same"),
    ],
)
def test_sound_json_passes(data: bytes) -> None:
    """JSON that every parser reads in the same way passes."""
    assert reason(data) == ""


@pytest.mark.parametrize("more", [0, 1, 1_000_000])
def test_size_is_limited(more: int) -> None:
    """A message of 256 KiB passes, a larger one is refused by its size alone."""
    data = b'"' + b"x" * (KIB_256 - 2 + more) + b'"'
    assert reason(data) == (f"it has {KIB_256 + more:,} bytes, at most 262,144 are allowed" if more else "")


@pytest.mark.parametrize("nested", [arrays, objects, both, with_siblings])
@pytest.mark.parametrize("depth", [33, 34, 999, 1_000, 1_001, 20_000])
def test_deep_nesting_is_refused(nested: Any, depth: int) -> None:
    """JSON that nests 33 levels or more is refused, however deep it is."""
    assert reason(nested(depth)) == "it nests deeper than 32 levels"


def test_hundred_thousand_levels_are_refused() -> None:
    """Nesting that would overflow a recursive parser is refused."""
    assert reason(arrays(100_000)) == "it nests deeper than 32 levels"


def test_deep_nesting_that_never_closes_is_refused() -> None:
    """A message of opening brackets only is refused."""
    assert reason(b"[" * 100_000)


@pytest.mark.parametrize("nested", [arrays, objects, both, with_siblings])
def test_nesting_at_the_limit_passes(nested: Any) -> None:
    """JSON that nests exactly 32 levels passes, also many times over."""
    assert reason(nested(32)) == ""
    assert reason(b"[" + b",".join([nested(31)] * 100) + b"]") == ""


@pytest.mark.parametrize("text", [b"[" * 100, b'\\"[' * 100, b"\\\\[{" * 100, b"\\u005b[" * 100])
def test_brackets_in_texts_do_not_nest(text: bytes) -> None:
    """Brackets inside strings and keys do not count as nesting, whatever escapes surround them."""
    assert reason(b'{"' + text + b'":["' + text + b'"]}') == ""


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize("data", [b"%b", b'{"a":%b}', b'{"say \\"NaN\\"":[1,%b]}'])
def test_numbers_that_json_does_not_know_are_refused(data: bytes, word: bytes) -> None:
    """NaN and the infinities, which Python writes by default, are refused by that name."""
    assert reason(data % word) == "it is not JSON: a number is NaN or infinite"


@pytest.mark.parametrize("data", [b'["NaN"', b'{"-Infinity":', b'["\\\\ud800"', b'["\\ud83c\\udfe5"'])
def test_innocent_texts_are_not_blamed(data: bytes) -> None:
    """A message that is broken elsewhere is not refused for what its texts merely resemble."""
    assert reason(data) == "it is not JSON: Input data was truncated"


@pytest.mark.parametrize("data", [b'"NaN"', b'{"Infinity":"-Infinity"}'])
def test_names_of_such_numbers_are_fine_as_texts(data: bytes) -> None:
    """NaN and Infinity are allowed inside strings."""
    assert reason(data) == ""


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 400 + b".5", b"9" * 5000])
def test_numbers_out_of_range_are_refused(number: bytes) -> None:
    """A number that parsers would make infinite, or refuse, is refused."""
    assert reason(b"[" + number + b"]", strict_integers=False) == "a number is out of range"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"a":1,"a":1}', id="at the top"),
        pytest.param(b'{"a":1,"b":2,"a":{}}', id="apart"),
        pytest.param(b'{"a":[],"a":[]}', id="with arrays"),
        pytest.param(b'{"x":[{"a":1},{"a":1,"a":2}]}', id="nested"),
        pytest.param(b'{"a":1,"\\u0061":1}', id="one escaped"),
        pytest.param('{"é":1,"\\u00e9":1}'.encode(), id="one escaped letter"),
        pytest.param('{"\U0001f3e5":1,"\\ud83c\\udfe5":1}'.encode(), id="one escaped pair"),
        pytest.param(b'{"/":1,"\\/":1}', id="one escaped slash"),
        pytest.param(b'{"":1,"":1}', id="empty keys"),
        pytest.param(b'{"\\":":1,"\\":":1}', id="keys like the end of a key"),
        pytest.param(b'{ "a" : 1 ,\n"a" : 1 }', id="with white space"),
        pytest.param(b'{"a":{"b":{"c":1}},"a":1}', id="with keys below"),
    ],
)
def test_duplicate_keys_are_refused(data: bytes) -> None:
    """An object that has a key twice is refused, since parsers disagree on which one counts."""
    assert reason(data) == "an object has the same key twice"


@pytest.mark.parametrize(
    "escape",
    [b"\\ud800", b"\\udc00", b"\\uDBFF\\uDBFF", b"\\udfff\\ud800", b"\\ud800\\u0041", b"\\ud800\\n"],
)
@pytest.mark.parametrize("data", [b'"%b"', b'{"a":["%b"]}', b'{"%b":1}', b'["%b and more text behind it"]'])
def test_lone_surrogates_are_refused(data: bytes, escape: bytes) -> None:
    """A text with half a surrogate pair, which is not Unicode, is refused by that name."""
    assert reason(data % escape) == "it is not JSON: a string holds a lone surrogate"


def test_lone_surrogates_in_str_are_refused() -> None:
    """A message handed over as str is checked for surrogates as well."""
    with pytest.raises(HostileJsonError, match="lone surrogate"):
        read_message('{"id":"\ud800"}')


@pytest.mark.parametrize("text", [b"\\ud83c\\udfe5", b"\\\\ud800", b"\\\\\\\\udc00"])
def test_pairs_and_what_only_looks_like_surrogates_pass(text: bytes) -> None:
    """A whole surrogate pair passes, and so does an escaped backslash before the letters ud800."""
    assert reason(b'["' + text + b'"]') == ""


@pytest.mark.parametrize("number", [SAFE + 1, -SAFE - 1, 2**63, 2**64, -(2**200), 10**4000])
@pytest.mark.parametrize("data", [b"%b", b'{"a":%b}', b'["\\\\",%b]', b'[ 1.5, %b ,"1"]'])
def test_integers_that_node_would_round_are_refused(data: bytes, number: int) -> None:
    """Integers beyond 2^53 - 1 are refused, with the advice to send texts; they pass when the limit is off."""
    message = data % str(number).encode()
    assert reason(message) == "an integer is beyond ±9007199254740991; send it as a string"
    assert reason(message, strict_integers=False) == ""


@pytest.mark.parametrize("value", [b"9007199254740991", b"-9007199254740991", b"[9007199254740991]"])
def test_largest_safe_integers_pass(value: bytes) -> None:
    """Integers up to 2^53 - 1 pass."""
    assert reason(b'{"a":[' + value + b"]}") == ""


@pytest.mark.parametrize("text", [b"12345678901234567890", b'\\"12345678901234567890', b"\\\\,12345678901234567890,"])
def test_digits_in_texts_pass(text: bytes) -> None:
    """Long digits inside strings and keys pass, whatever escapes precede them."""
    assert reason(b'{"' + text + b'":["' + text + b'"]}') == ""


FLOATS = """
    1e300 1E+300 -1e-300 12345678901234567890.5 1234567890123456789e3 1e-12345678901234567890 0.12345678901234567890
    -0.12345678901234567890e-12 1.2345678901234567890e+12 1e+00000000000000000001 1E00000000000000000001
"""


@pytest.mark.parametrize("number", FLOATS.split())
def test_floats_of_many_digits_pass(number: str) -> None:
    """Floats pass whatever their digits, since every language rounds them alike."""
    assert reason(f'{{"a":[{number}],"b":{number}}}'.encode()) == ""


@pytest.mark.parametrize("key", [b"__proto__", b"\\u005f_proto__", b"__\\u0070roto_\\u005F"])
@pytest.mark.parametrize("data", [b'{"%b":1}', b'{"a":1,"%b":{}}', b'[{"a":{ "%b" : 1}}]'])
def test_key_proto_is_refused(data: bytes, key: bytes) -> None:
    """The key that sets an object's prototype in JavaScript is refused in every spelling."""
    assert reason(data % key) == "an object has the key __proto__"


PROTO_ELSEWHERE = r"""
    ["__proto__"] {"a":"__proto__"} {"x\"__proto__":1} {",\"__proto__":1} {"{\"__proto__\":":1} "{\"__proto__\":1}"
    {"__proto":1} {"__proto___":1} {"__PROTO__":1} {"a":[",","__proto__"]}
"""


@pytest.mark.parametrize("data", PROTO_ELSEWHERE.split())
def test_other_uses_of_proto_pass(data: str) -> None:
    """`__proto__` passes as a value and as a part of a key."""
    assert reason(data.encode()) == ""


@pytest.mark.parametrize(
    "data", [b"\xff", b'"\xff"', b'{"\xc3":1}', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf5\x80\x80\x80"']
)
def test_bytes_that_are_not_utf_8_are_refused(data: bytes) -> None:
    """Broken, overlong and surrogate bytes are refused as what they are."""
    assert reason(data) == "it is not UTF-8"


@pytest.mark.parametrize("length", range(len(b'{"a":["\\u0061",1.5,true]}')))
def test_truncated_messages_are_refused(length: int) -> None:
    """A message that ends early, wherever, is refused as not being JSON; so is an empty one."""
    assert reason(b'{"a":["\\u0061",1.5,true]}'[:length]).startswith("it is not JSON: ")


@pytest.mark.parametrize("garbage", [b"x", b" {}", b"\x00", b"]", b"}", b",", b"1", b"\n//"])
def test_trailing_garbage_is_refused(garbage: bytes) -> None:
    """Anything but white space behind the message is refused."""
    assert reason(b'{"a":1}' + garbage).startswith("it is not JSON: ")


DIALECTS = r"""
    [1,] {"a":1,} [,1] {,} {"a"} {"a",1} 01 1. .5 +1 0x10 1e - {a:1} {'a':1} {1:2} //a
    /*a*/1 True undefined }{ "\x41" "\u00zz"
"""


@pytest.mark.parametrize(
    "data", [*DIALECTS.encode().split(), b'"a\nb"', b'"\x00"', b"\x0c1", b"[1 2]", b"\xef\xbb\xbf{}"]
)
def test_dialects_of_json_are_refused(data: bytes) -> None:
    """What some parsers tolerate, from trailing commas to byte order marks, is refused."""
    assert reason(data).startswith("it is not JSON: ")


@pytest.mark.parametrize(
    ("limits", "data"),
    [({"max_bytes": 9}, b'{"a":123}'), ({"max_depth": 2}, b"[[1],{}]"), ({"max_depth": 40}, arrays(40))],
    ids=["bytes", "depth", "greater depth"],
)
def test_limits_are_settings(limits: dict[str, int], data: bytes) -> None:
    """The limits of size and depth are settings, and each is exact."""
    assert reason(data, **limits) == ""
    assert reason(data, **{name: limit - 1 for name, limit in limits.items()})


def test_what_is_hostile_is_a_decoding_error_without_event() -> None:
    """The error for a hostile message carries neither an id nor a type from it."""
    with pytest.raises(EventDecodingError, match="the message was rejected: an object has the same key") as caught:
        read_message(b'{"id":"event-1","id":"event-2"}')
    assert caught.value.event_id is None
    assert caught.value.event_type is None


def test_many_containers_are_refused() -> None:
    """A message may hold 10,000 arrays and objects; brackets in texts do not count."""
    assert reason(b"[" + b"[]," * 9_998 + b"[]]") == ""
    assert "10,001 arrays and objects" in reason(b"[" + b"{}," * 9_999 + b"{}]")
    assert reason(b'["' + b"[" * 20_000 + b'"]') == ""


def test_limit_of_containers_is_a_setting() -> None:
    """`max_containers` decides how many arrays and objects a message may hold."""
    assert reason(b"[[],[]]", max_containers=3) == ""
    assert "at most 2" in reason(b"[[],[]]", max_containers=2)
