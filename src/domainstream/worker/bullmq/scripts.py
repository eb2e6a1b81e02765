"""The scripts that a worker calls: BullMQ's own, from the installed package, and `round_trip.lua`, made of them."""

from functools import cache
from importlib.resources import files
from typing import Final

from domainstream.queue.bullmq.scripts import bullmq_module
from domainstream.redis.scripts import Script

FILES: Final = {
    "extendLocks": "extendLocks-1.lua",
    "moveJobFromActiveToWait": "moveJobFromActiveToWait-9.lua",
    "moveStalledJobsToWait": "moveStalledJobsToWait-9.lua",
    "moveToActive": "moveToActive-11.lua",
    "moveToDelayed": "moveToDelayed-11.lua",
    "moveToFinished": "moveToFinished-14.lua",
    "retryJob": "retryJob-11.lua",
    "updateProgress": "updateProgress-3.lua",
}
"""Their files. The package ships all of them, but its own table of scripts lacks one."""


def text_of(name: str) -> str:
    """Return a script's text; raise `MissingExtraError` without the package."""
    return str(bullmq_module("bullmq.redis_connection", what="Handling jobs of BullMQ queues").loadScript(FILES[name]))


@cache
def bullmq_script(name: str) -> Script:
    """Return one of BullMQ's scripts."""
    return Script.of(text_of(name))


@cache
def guardian_script(name: str) -> Script:
    """Return one of BullMQ's scripts whose first key is `stalled`, for a worker's guardian of locks.

    It begins with a write that needs no memory, as `round_trip.lua` does: once a script has made one, it may also make
    those that need some. Otherwise a server whose memory is full would let locks expire, and jobs would run twice.
    """
    return Script.of(f"redis.call('SREM', KEYS[1], '')\n{bullmq_script(name).text}")


@cache
def round_trip_script() -> Script:
    """Return `round_trip.lua` with BullMQ's scripts inserted."""
    text = files("domainstream.worker.bullmq").joinpath("round_trip.lua").read_text(encoding="utf-8")
    for name in FILES:
        text = text.replace(f"--[[{name}]]", text_of(name))
    return Script.of(text)
