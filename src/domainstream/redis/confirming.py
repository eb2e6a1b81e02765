"""Waits until replicas have what a script wrote.

A primary acknowledges a write before its replicas have it. WAIT, sent behind the scripts on the same connection, counts
the replicas that have all that this connection wrote; a script that wrote nothing is not waited for. Whoever repeats a
script until replicas confirm it must let the repeat write, too. WAITAOF does the same for disks.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from domainstream.errors import NotConfirmedError
from domainstream.redis.errors import NoReplyError
from domainstream.redis.scripts import Script
from domainstream.settings import Confirm
from domainstream.text import described

COUNT_AGE: Final = 1.0
"""Seconds after which the replicas of a primary are counted again."""

MARGIN: Final = 0.15
"""Seconds of a call's time that are left for the reply to WAIT; a server that idles looks at its clock every 100 ms."""

Command = Sequence[str | bytes | int]

Exchange = Callable[[Sequence[Command], float], Awaitable[list[Any]]]
"""Sends commands in one write, within so many seconds, and returns one reply each, errors included."""


class Confirmed(NamedTuple):
    """The reply to a script, and how many replicas have what it wrote."""

    reply: Any
    """What the script returned."""

    replicas: int
    """How many replicas confirmed it in time."""

    wanted: int
    """How many had to."""

    problem: str
    """Why it is not confirmed, whatever the replicas have; empty if nothing else is wrong."""


ReplicaCount = Callable[[Exchange, float], Awaitable[int | Exception]]
"""Returns how many replicas a primary has, or why that is not known, within so many seconds."""


async def connected_replicas(exchange: Exchange, seconds: float) -> int | Exception:
    """Count the replicas that are connected to a single primary; it knows of no others."""
    (info,) = await exchange([("INFO", "replication")], seconds)
    if isinstance(info, Exception):
        return info
    _, _, rest = info.partition(b"connected_slaves:")
    return int(rest.partition(b"\r")[0])


async def known_replicas(exchange: Exchange, seconds: float) -> int | Exception:
    """Count the replicas of a cluster's primary, also those that do not answer it."""
    (reply,) = await exchange([("CLUSTER", "NODES")], seconds)
    if isinstance(reply, Exception):
        return reply
    nodes: bytes = reply
    lines = [line.split() for line in nodes.splitlines()]  # id, address, flags, primary
    own = next(line[0] for line in lines if b"myself" in line[2])
    return sum(line[3] == own for line in lines)


def doubt_about(confirmed: Confirmed, place: str) -> NotConfirmedError | None:
    """Return an error if fewer replicas than wanted have what a script wrote; `place` is the server, as `host:port`."""
    if confirmed.replicas >= confirmed.wanted and not confirmed.problem:
        return None
    why = confirmed.problem and f"; {confirmed.problem}"
    counts = f"{confirmed.replicas} of {confirmed.wanted}"
    return NotConfirmedError(f"{counts} replicas confirmed in time what was written at {place}{why}")


class Confirmation:
    """Runs scripts at one primary and waits for its replicas. For one caller at a time."""

    def __init__(self, replicas: ReplicaCount) -> None:
        self._count = replicas
        self._known = 0
        self._counted_at = -math.inf
        self._writes_to_disk = False

    def forget(self) -> None:
        """Ask everything anew before the next call: it may reach another primary."""
        self._counted_at = -math.inf
        self._writes_to_disk = False

    async def eval_each(
        self, exchange: Exchange, script: Script, calls: Sequence[Command], confirm: Confirm, seconds: float
    ) -> list[Any]:
        """Call `script` once for each of `calls`; return a `Confirmed`, or an error, for each."""
        deadline = _now() + seconds
        wanted = await self._wanted(exchange, confirm, seconds)
        if isinstance(wanted, Exception):
            failure = wanted.cause if isinstance(wanted, NoReplyError) else wanted
            return [NoReplyError(failure, sent=False)] * len(calls)

        async def confirmed(commands: Sequence[Command]) -> list[Any]:
            left = deadline - _now()
            milliseconds = max(1, int((left - MARGIN) * 1000))
            on_disk = confirm == "fsync"
            wait = ("WAITAOF", 1, wanted, milliseconds) if on_disk else ("WAIT", wanted, milliseconds)
            *replies, waited = await exchange([*commands, wait], left)
            replicas, problem = _outcome_on_disk(waited) if on_disk else _outcome(waited)
            return [
                reply if isinstance(reply, Exception) else Confirmed(reply, replicas, wanted, problem)
                for reply in replies
            ]

        replies = await confirmed([("EVALSHA", script.sha, *call) for call in calls])
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:  # with another WAIT: the first one did not see what these write
            repeated = await confirmed([("EVAL", script.text, *calls[index]) for index in missing])
            for index, reply in zip(missing, repeated, strict=True):
                replies[index] = reply
        return replies

    async def _wanted(self, exchange: Exchange, confirm: Confirm, seconds: float) -> int | Exception:
        """Return how many replicas must have a write, or why that is not known or cannot be waited for."""
        if confirm == "fsync" and not self._writes_to_disk:
            # Before anything is written, so that a server which can never confirm it has nothing of it.
            (answer,) = await exchange([("WAITAOF", 1, 0, 1)], seconds)
            if isinstance(answer, Exception):
                return _no_disk(answer)
            self._writes_to_disk = True
        if isinstance(confirm, int):
            return confirm
        if _now() - self._counted_at > COUNT_AGE:
            known = await self._count(exchange, seconds)
            if isinstance(known, Exception):
                return known
            self._known, self._counted_at = known, _now()
        # A primary without replicas confirms nothing by itself, unless its disk is what counts.
        return self._known if confirm == "fsync" else max(1, self._known)


def _outcome(waited: Any) -> tuple[int, str]:
    """Return how many replicas confirmed according to WAIT, and what else is wrong."""
    if isinstance(waited, NoReplyError):
        return 0, "there was no answer in time"
    if isinstance(waited, Exception):
        return 0, f"the server does not wait for replicas: {described(waited)}"
    return waited, ""


def _outcome_on_disk(waited: Any) -> tuple[int, str]:
    """Return how many replicas confirmed according to WAITAOF, and what else is wrong."""
    if isinstance(waited, Exception):
        return _outcome(waited)
    own, replicas = waited
    return (
        replicas,
        "" if own else "the primary has not written them to its disk; is appendfsync no?",
    )


def _no_disk(error: Exception) -> Exception:
    """Return what to report when a server does not answer WAITAOF with a number."""
    text = str(error).lower()
    if "replica" in text:
        return ReadOnlyError("READONLY it is a replica now")
    if "unknown command" in text:
        return ResponseError(
            'confirm="fsync" needs the command WAITAOF, which this server does not have; use Redis 7.2 or later, or '
            'Valkey, or confirm="all", which waits for the memory of replicas'
        )
    if "appendonly" in text:
        return ResponseError(
            'confirm="fsync" needs a server that writes to its disk, and appendonly is off; run: redis-cli CONFIG SET '
            'appendonly yes (and CONFIG REWRITE), at replicas too, or use confirm="all"'
        )
    return error


def _now() -> float:
    return asyncio.get_running_loop().time()
