"""What is recorded of a failure: its reason, stack and place, bounded and never empty; and the line in the log."""

import inspect
import shlex
import traceback
from collections.abc import Iterator
from typing import Any, Final

from domainstream.telemetry import Signal, emit
from domainstream.text import described, encodable
from domainstream.worker.context import ReceivedJob

MAX_REASON: Final = 4_096
"""Bytes of a reason, and of each message in a stack, that are kept. BullMQ writes a reason to two places in Redis."""

MAX_STACK: Final = 16_384
"""Bytes of a stack that are kept: the innermost frames."""

DEFAULT_BULL_PREFIX: Final = "bull"
UNKNOWN: Final = "unknown"
BEFORE_HANDLER: Final = "before its handler"
STORED: Final = "stored with the job"
"""What a log line has as the reason of an error that is not ours, and may quote the payload."""


def reason_of(error: BaseException) -> str:
    """Return the error as `TypeError: message`, cut to `MAX_REASON` bytes."""
    return _start_of(described(error))


def given_reason(reason: str) -> str:
    """Return a reason that a handler gave in its own words, cut to `MAX_REASON` bytes."""
    return _start_of(reason)


def stack_of(error: BaseException) -> str:
    """Return the traceback of the error and of all its causes, cut to its last `MAX_STACK` bytes."""
    try:
        lines = traceback.format_exception(error)
    except Exception as failure:  # noqa: BLE001 - a broken exception of the user's, or groups nested too deep
        lines = [f"{type(error).__name__}, whose traceback fails with {type(failure).__name__}"]
    stack = "".join(map(_start_of, lines)).encode()
    if len(stack) <= MAX_STACK:
        return stack.decode()
    kept = stack[-MAX_STACK:].partition(b"\n")[2]
    return f"[cut: the first {len(stack) - len(kept)} of {len(stack)} bytes]\n{kept.decode()}"


def sole_error(error: BaseException) -> BaseException:
    """Return the only error in a group, since a task group wraps even a single one; otherwise the error itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def place_of(error: BaseException, handler: Any) -> str:
    """Return the innermost line in the handler's own package: the line in a library it called says less.

    For errors that passed through none of its lines, as those of a middleware, it is the innermost line of all; for an
    outcome that the handler returned, it is the handler.
    """
    home = _package(getattr(handler, "__module__", None))
    traces = [list(traceback.walk_tb(cause.__traceback__)) for cause in _causes(error)]
    own = ([step for step in trace if _package(step[0].f_globals.get("__name__")) == home] for trace in traces)
    steps = next(filter(None, own), traces[0])
    if not steps:
        return UNKNOWN
    frame, line = steps[-1]
    code = getattr(inspect.unwrap(handler), "__code__", None)
    if code is not None and _package(frame.f_globals.get("__name__")) == _package(__name__) != home:
        return f"{code.co_filename}:{code.co_firstlineno} in {code.co_name}"
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def report_failed_job(
    queue: str, job: ReceivedJob, *, bull_prefix: str, event: str, error: str, where: str, reason: str
) -> None:
    """Log that `job` has failed permanently, with the commands that show and retry it."""
    which = (queue, job.id) if bull_prefix == DEFAULT_BULL_PREFIX else (queue, job.id, "--bull-prefix", bull_prefix)
    show, retry = (shlex.join(("domainstream", "jobs", command, *which)) for command in ("show", "retry"))
    emit(
        Signal.WORKER_JOB_FAILED,
        queue=queue,
        job=job.id,
        name=job.name,
        event=event,
        attempt=job.attempt,
        error=error,
        where=where,
        reason=reason,
        show=show,
        retry=retry,
    )


def _start_of(text: str) -> str:
    encoded = encodable(text).encode()
    if len(encoded) <= MAX_REASON:
        return encoded.decode()
    kept, end = encoded[:MAX_REASON].decode(errors="ignore"), "\n" if text.endswith("\n") else ""
    return f"{kept}... [cut: the first {MAX_REASON} of {len(encoded)} bytes]{end}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes: only the cause of a `HandlerTimeoutError` shows where the handler was."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _package(module: object) -> str:
    return str(module).partition(".")[0]
