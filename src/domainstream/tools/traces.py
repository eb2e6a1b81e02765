"""Reads from a job's traces, of Python or of Node.js, which error it failed with, and at which line."""

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from domainstream.queue.bullmq.inspection import JobState

_LIBRARY: Final = re.compile(r"/(site-packages|dist-packages|node_modules|src/domainstream|lib/python3\.\d+)/|^<")
_PYTHON_FRAME: Final = re.compile(r'^[ |]*  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)$')
_NODE_FRAME: Final = re.compile(
    r"^\s+at (?:async )?(?:(?P<function>\S+) \()?(?:file://)?(?P<file>/[^)]+?):(?P<line>\d+):\d+\)?$"
)
_BECAUSE: Final = "The above exception was the direct cause of the following exception:"
_ERROR: Final = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?::|$)")


def error_of(job: JobState) -> str:
    """Return the type of a job's last error, as the last trace or else the reason names it; empty without a failure."""
    return error_type(job.failed_reason, job.traces[-1] if job.traces else "")


def error_type(reason: str, last_trace: str = "") -> str:
    """Return the type of an error, as the trace or else the reason names it; empty without a reason.

    A handler that gave up because of another error has failed with that.
    """
    if not reason:
        return ""
    trace = last_trace.splitlines()
    # Python names the error below the frames, Node above; a message of several lines may follow either.
    below_frames = list(takewhile(lambda line: not line.startswith("  "), reversed(trace)))
    candidates = [*reversed(below_frames), *trace[:1], reason]
    found = next((match for line in candidates if (match := _ERROR.match(line))), None)
    name = found["type"].rpartition(".")[2] if found else "Error"
    cause = last_trace.rpartition(f"\n\n{_BECAUSE}\n\n")[0]
    return error_type(reason, cause) if name == "GiveUp" and cause else name


def place_of(job: JobState) -> str:
    """Return the innermost line of the user's own code in a job's last trace; empty without one."""
    return next(_own_frames(job.traces[-1]), "") if job.traces else ""


def own_frames(trace: str) -> list[str]:
    """Return the user's own frames of a trace of Python or Node.js, outermost first, as `file:line in function`."""
    return [*_own_frames(trace)][::-1]


def _own_frames(trace: str) -> Iterator[str]:
    """Yield the frames from the innermost one on: of a hundred thousand jobs only that one is wanted."""
    lines = trace.splitlines()
    # Python writes the innermost frame last, Node.js first.
    for pattern, inner_first in ((_PYTHON_FRAME, lines[::-1]), (_NODE_FRAME, lines)):
        frame = None
        for line in inner_first:
            if match := pattern.match(line):
                frame = match
                if not _LIBRARY.search(frame["file"]):
                    yield f"{frame['file']}:{frame['line']} in {frame['function'] or '<anonymous>'}"
        if frame:
            return
