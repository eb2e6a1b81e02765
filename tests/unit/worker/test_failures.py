"""What is stored of a failure: bounded in size, never empty, and always text that can be stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainstream.worker.failures import MAX_REASON, MAX_STACK, given_reason, reason_of, stack_of

MEGABYTES = 10 * 2**20
NOTE = 100
"""Bytes that saying what was cut may take."""


class LoudError(Exception):
    """An error with a message of ten megabytes."""

    def __str__(self) -> str:
        return "payload" * (MEGABYTES // 7)


def raised(error: BaseException, depth: int = 0) -> BaseException:
    """Return the error once it was raised by a function that calls itself `depth` times."""

    def outer(left: int) -> None:
        if left == 0:
            raise_inner(error)
        # Not the same line each time, which a traceback would show as one repeated line.
        elif left % 2:
            outer(left - 1)
        else:
            outer(left - 1)

    try:
        outer(depth)
    except BaseException as caught:  # noqa: BLE001 - the error that was asked for
        return caught
    raise AssertionError


def raise_inner(error: BaseException) -> None:
    """Raise an error in a frame whose name the tests look for."""
    raise error


def test_reason_of_ten_megabytes_is_cut() -> None:
    """The beginning of a message is kept, and the text says how much was cut."""
    reason = reason_of(LoudError())
    assert reason.startswith("LoudError: payloadpayload")
    assert reason.endswith(f"... [cut: the first {MAX_REASON} of {len('LoudError: ') + MEGABYTES // 7 * 7} bytes]")
    assert len(reason.encode()) <= MAX_REASON + NOTE


def test_stack_with_ten_megabytes_is_cut() -> None:
    """A message of ten megabytes leaves room for the frames, and so do the messages of causes and groups."""
    cause = raised(LoudError())
    group = ExceptionGroup("tasks", [LoudError(), LoudError()])
    for error in (cause, raised(group)):
        error.__cause__ = LoudError()
        stack = stack_of(error)
        assert len(stack.encode()) <= MAX_STACK + NOTE
        assert "in raise_inner" in stack


def test_innermost_frames_are_kept() -> None:
    """Of a deep stack the outermost frames are cut, at the beginning of a line, and the text says so."""
    stack = stack_of(raised(KeyError("stay-1"), depth=900))
    first, second = stack.splitlines()[:2]
    assert first.startswith("[cut: the first ")
    assert second.startswith(("  File ", "    "))
    assert stack.endswith("KeyError: 'stay-1'\n")
    assert "in raise_inner" in stack
    assert len(stack.encode()) <= MAX_STACK + NOTE


def test_short_reasons_and_stacks_are_kept_whole() -> None:
    """What fits is stored as it is."""
    error = raised(KeyError("stay-1"), depth=2)
    assert reason_of(error) == "KeyError: 'stay-1'"
    assert stack_of(error).startswith("Traceback (most recent call last):\n")
    assert "[cut" not in stack_of(error)


@pytest.mark.parametrize("error", [ValueError(), ValueError(" \n"), ValueError(""), KeyError()])
def test_reason_is_never_empty(error: Exception) -> None:
    """An error without a message has its type as the reason."""
    assert reason_of(error) == type(error).__name__


@given(st.text(st.characters(codec=None), max_size=20), st.integers(0, 3_000))
def test_whatever_a_message_holds_can_be_stored(text: str, times: int) -> None:
    """Reasons and stacks are UTF-8 within their bounds, also with lone surrogates and cuts inside of a character."""
    error = raised(ValueError(text * times))
    for stored, limit in (
        (given_reason(text * times), MAX_REASON),
        (reason_of(error), MAX_REASON),
        (stack_of(error), MAX_STACK),
    ):
        assert len(stored.encode()) <= limit + NOTE
