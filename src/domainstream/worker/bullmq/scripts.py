"""BullMQ's own scripts for workers, from the installed package."""

from functools import cache
from importlib.resources import files
from typing import Final

from domainstream.queue.bullmq.package import bullmq_module
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
"""The package's own table of scripts lacks one of these, which it ships all the same."""


def text_of(name: str) -> str:
    """Return a script's text; raise `MissingExtraError` without the package."""
    return str(bullmq_module("bullmq.redis_connection", what="Handling jobs of BullMQ queues").loadScript(FILES[name]))


@cache
def bullmq_script(name: str) -> Script:
    """Return one of BullMQ's scripts."""
    return Script.of(text_of(name))


@cache
def turn_script() -> Script:
    """Return `bullmq_turn.lua` with BullMQ's scripts in it."""
    text = files("domainstream.worker.bullmq").joinpath("round_trip.lua").read_text(encoding="utf-8")
    for name in FILES:
        text = text.replace(f"--[[{name}]]", text_of(name))
    return Script.of(text)
