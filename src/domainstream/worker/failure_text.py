"""Tells of a failed attempt: to people in one line of the log, and to BullMQ with message and trace.

The log does not quote the exception's message, which may quote a payload.
"""

import traceback
from collections.abc import Iterator
from datetime import timedelta
from traceback import walk_tb
from types import FrameType

from domainstream.worker.context import ReceivedJob
from domainstream.worker.prepared_call import PreparedCall


def failure_line(error: BaseException, handling: PreparedCall, job: ReceivedJob, following: str) -> str:
    """Return which attempt failed, how and where, at which event, and what is `following`."""
    return (
        f"attempt {job.attempt} of {max(job.attempts, job.attempt)} failed: {type(error).__name__} "
        f"{_place(error, handling)}, handling {handling.event_name}; {following}"
    )


def pause_text(pause: timedelta | None) -> str:
    """Say when the job comes again; None means that it does not."""
    if pause is None:
        return "failed for good"
    return f"again in {pause.total_seconds():g} s" if pause else "again at once"


def message_of(error: BaseException) -> str:
    """Return the error's message; its type's name where it says nothing."""
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - a broken exception of the user's
        text = f"{type(error).__name__}, whose message fails with {type(failure).__name__}"
    return _writable(text.strip() or type(error).__name__)


def stack_of(error: BaseException) -> str:
    """Return the trace of the error and of all that caused it."""
    return _writable("".join(traceback.format_exception(error)))


def sole_error(error: BaseException) -> BaseException:
    """Return what a group holds if that is one error: a task group wraps also the only one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _writable(text: str) -> str:
    """Write lone surrogates as escapes, which no client could send."""
    return text.encode(errors="backslashreplace").decode()


def _place(error: BaseException, handling: PreparedCall) -> str:
    """Name the innermost line of the handler's own package: what it calls in a library says less."""
    home = _package(getattr(handling.handler, "__module__", None))
    traces = [list(walk_tb(each.__traceback__)) for each in _chain(error)]
    own = next((inner for trace in traces if (inner := [step for step in trace if _package_of(step[0]) == home])), None)
    found = own or traces[0]
    if not found:
        return "somewhere"
    frame, line = found[-1]
    return f"at {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Go from an error to its cause, as that of a time-out shows where the handler was."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _package_of(frame: FrameType) -> str:
    return _package(frame.f_globals.get("__name__"))


def _package(module: object) -> str:
    return str(module).partition(".")[0]
