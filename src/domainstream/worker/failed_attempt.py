"""Tells of a failed attempt in one line, without the exception's message, which may quote a payload. Pure.

Used by `bullmq_jobs`.
"""

from collections.abc import Mapping
from traceback import walk_tb
from types import FrameType
from typing import Any, Final

from domainstream.worker.handlers import Handling

_TRIES_AT_LEAST: Final = 1


def failure_text(error: BaseException, handling: Handling, attempt: int, options: Mapping[str, Any]) -> str:
    """Return which attempt failed, how and where, at which event, and what comes next.

    `options` are those of BullMQ's job: `attempts`, and `backoff` in milliseconds.
    """
    attempts = max(int(options.get("attempts") or _TRIES_AT_LEAST), attempt)
    following = _next(attempt, options.get("backoff")) if attempt < attempts else "failed for good"
    return (
        f"attempt {attempt} of {attempts} failed: {type(error).__name__} {_place(error, handling)}, "
        f"handling {handling.event_name}; {following}"
    )


def _next(attempt: int, backoff: Any) -> str:
    kind, delay = (backoff.get("type"), backoff.get("delay")) if isinstance(backoff, Mapping) else ("fixed", backoff)
    if kind not in ("fixed", "exponential") or not isinstance(delay, int | float):
        return "it comes again"
    milliseconds = delay * 2 ** (attempt - 1) if kind == "exponential" else delay
    return f"again in {milliseconds / 1000:g} s"


def _place(error: BaseException, handling: Handling) -> str:
    """Name the innermost line of the handler's own package: what it calls in a library says less."""
    found = list(walk_tb(error.__traceback__))
    home = _package(getattr(handling.handler, "__module__", None))
    own = [step for step in found if _package(_module(step[0])) == home] or found
    if not own:
        return "somewhere"
    frame, line = own[-1]
    return f"at {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def _module(frame: FrameType) -> object:
    return frame.f_globals.get("__name__")


def _package(module: object) -> str:
    return str(module).partition(".")[0]
