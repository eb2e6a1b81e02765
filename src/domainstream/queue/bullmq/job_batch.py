"""What the scripts that add batches of jobs have in common: BullMQ's own scripts in them, and their kinds of jobs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from domainstream.queue.bullmq.scripts import KEYS, own_script, packed_options, script_for, script_text
from domainstream.queue.job import Job
from domainstream.queue.port import RoutedEntry
from domainstream.queue.settings import JobSettings, OnFailure
from domainstream.redis.errors import SERVER_CODES

Argument = str | bytes | int
Kind = tuple[str, str, int]
"""Jobs that differ by id and data alone: their queue, their name, the identity of their settings."""


def batch_script(name: str, *, in_order: bool = False) -> str:
    """Return a script of ours that adds batches, with BullMQ's in it, and the gates if jobs have to be `in_order`.

    Raises `MissingExtraError` without the package `bullmq`.
    """
    adders = "\n".join(_as_function(script, script_text(script)) for script in KEYS)
    parts = {"adders": adders, "server_codes": ", ".join(f"{code} = true" for code in sorted(SERVER_CODES))}
    parts["order"] = gate_script("add_in_order") if in_order else ""
    return with_parts(own_script(name), parts)


def gate_script(name: str) -> str:
    """Return a script of ours, or a part of one, that has to do with gates, with the BullMQ functions that it needs."""
    parent = "addParentJob"
    functions = _as_function(parent, script_text(parent), before="release = moveParentToWaitIfNeeded\n")
    parts = {part: own_script(part) for part in ("gates", "add_to_key")}
    parts["release"] = f"local make, release = {{}}\n{functions}\nmake.{parent}()"
    return with_parts(own_script(name), {**parts, "adders": functions})


def with_parts(text: str, parts: Mapping[str, str]) -> str:
    """Return a script with its `--[[part]]` replaced."""
    for part, included in parts.items():
        text = text.replace(f"--[[{part}]]", included)
    return text


# Why BullMQ's Lua is rewritten: its scripts add one job a call. A call per job would cost a round trip and a parse of
# the arguments for each, and could not move the queue's mark in the same step; a copy of the scripts in this repository
# would drift away from what Node's BullMQ reads. So each installed script becomes the body of a function, in which
# KEYS and ARGV are parameters, and `cmsgpack.unpack` and `cjson.encode` are stand-ins that pass on what is unpacked
# and encoded already. Its top-level `local function`s are moved out of that body, so that they are made once a call of
# ours and not once a job.
#
# This relies on three properties of BullMQ's text: top-level functions begin with "local function" and end with "end"
# at the start of a line; they use nothing but `rcall`, the two stand-ins and each other; what they encode is the job's
# options alone. Tests guard them: test_scripts_are_the_ones_we_know compares the hash of each script, so that a new
# release is read before it is used, and the tests beside it run the result for each kind of job.
_FUNCTION: Final = re.compile(r"^local function .*?^end$", re.DOTALL | re.MULTILINE)

_STAND_INS: Final = """local rcall = redis.call
local cmsgpack = {unpack = function(value) return value end}
local cjson = {encode = function() return options_json end}"""


def _as_function(name: str, script: str, *, before: str = "") -> str:
    functions = "\n".join(_FUNCTION.findall(script))
    body = _FUNCTION.sub("", script)
    make = f"{_STAND_INS}\n{functions}\n{before}return function(KEYS, ARGV)\n{body}\nend"
    return f"make.{name} = function()\n{make}\nend"


class JobKinds:
    """The kinds of jobs in a call, and their queues; each is written once."""

    def __init__(self) -> None:
        self.queues: dict[str, int] = {}
        """The number of each queue, from 1."""
        # By the settings' identity: hashing all their fields for each job is not free, and the jobs keep them alive.
        self._kinds: dict[Kind, int] = {}
        self._settings: list[JobSettings] = []

    def __len__(self) -> int:
        """Return how many kinds there are."""
        return len(self._kinds)

    def number_of(self, job: Job) -> int:
        """Return the number of the job's kind, from 1."""
        kind = (job.queue, job.name, id(job.settings))
        number = self._kinds.get(kind)
        if number is None:
            self.number_of_queue(job.queue)
            self._settings.append(job.settings)
            number = self._kinds[kind] = len(self._kinds) + 1
        return number

    def number_of_queue(self, queue: str) -> int:
        """Return the number of a queue, from 1."""
        return self.queues.setdefault(queue, len(self.queues) + 1)

    def arguments(self, on_failure: Mapping[str, OnFailure]) -> Iterator[Argument]:
        """Yield each kind as the scripts take it: queue, BullMQ's script, the jobs' name, their options.

        `on_failure` has the queues whose jobs are handled in order; unless it is empty, what it says of the kind's
        queue follows.
        """
        for (queue, name, _), settings in zip(self._kinds, self._settings, strict=True):
            yield from (self.queues[queue], script_for(settings), name, packed_options(settings))
            if on_failure:
                yield on_failure.get(queue, "")


def parts_of(entries: Sequence[RoutedEntry], max_jobs: int) -> Iterator[Sequence[RoutedEntry]]:
    """Split `entries` into parts of at most `max_jobs` jobs; an entry without jobs counts as one."""
    start = jobs = 0
    for end, entry in enumerate(entries):
        size = max(len(entry.jobs), 1)
        if jobs and jobs + size > max_jobs:
            yield entries[start:end]
            start, jobs = end, 0
        jobs += size
    if jobs:
        yield entries[start:]
