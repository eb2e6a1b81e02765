"""Text of others goes into one line of ours, and controls neither a log nor a terminal."""

import asyncio

import pytest

from domainstream.text import described, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é 中", "é 中"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31m\x9b31m\x00\x7f", "\\x1b[31m\\x9b31m\\x00\\x7f"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("\u202eabc\u2066\u200f", "\\u202eabc\\u2066\\u200f"),
        ("\ud800", "\\ud800"),
        (b"\xff\n", "\\xff\\n"),
    ],
)
def test_unprintable_characters_are_escaped(text: str | bytes, shown: str) -> None:
    """Line breaks, control characters also beyond ASCII, direction marks and invalid UTF-8 are escaped."""
    assert printable(text) == shown


class UnspeakableError(Exception):
    """An error whose message fails."""

    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such stay"), "ValueError: no such stay"),
        (TimeoutError(), "TimeoutError"),
        (TimeoutError("  "), "TimeoutError"),
        (asyncio.CancelledError(), "CancelledError"),
        (UnspeakableError(), "UnspeakableError, whose message fails with ValueError"),
    ],
)
def test_described_error_never_ends_in_an_empty_message(error: BaseException, text: str) -> None:
    """An error without a message is named by its type alone, and a message that fails is said to fail."""
    assert described(error) == text
