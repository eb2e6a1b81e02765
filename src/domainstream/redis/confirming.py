"""Waits until replicas have what a script wrote.

A primary acknowledges a write before its replicas have it. WAIT, sent behind the scripts on the same connection, counts
the replicas that have all that this connection wrote; a script that wrote nothing is not waited for. Whoever repeats a
script until replicas confirm it must let the repeat write, too.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

from redis.exceptions import NoScriptError

from domainstream.redis.errors import NoReplyError
from domainstream.redis.scripts import Script
from domainstream.text import described

Confirm = int | Literal["all"]
"""How many replicas must have a write: so many, or all that the primary has, and at least one."""


COUNT_AGE: Final = 1.0
"""Seconds after which the replicas of a primary are counted again."""

MARGIN: Final = 0.05
"""Seconds of a call's time that are left for the reply to WAIT."""

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
    """Why the server would not wait for replicas; empty if it did."""


ReplicaCount = Callable[[Exchange, float], Awaitable[int | Exception]]
"""Returns how many replicas a primary has, or why that is not known, within so many seconds."""


def confirm_problem(confirm: object) -> str | None:
    """Return why a setting does not say how many replicas must have a write, or None."""
    if confirm in (None, "all") or (type(confirm) is int and confirm > 0):
        return None
    return 'confirm must be a number of replicas above zero, "all" or None'


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


class Confirmation:
    """Runs scripts at one primary and waits for its replicas. For one caller at a time."""

    def __init__(self, replicas: ReplicaCount) -> None:
        self._count = replicas
        self._known = 0
        self._counted_at = -math.inf

    def forget(self) -> None:
        """Count the replicas anew before the next call: it may reach another primary."""
        self._counted_at = -math.inf

    async def eval_each(
        self, exchange: Exchange, script: Script, calls: Sequence[Command], confirm: Confirm, seconds: float
    ) -> list[Any]:
        """Call `script` once for each of `calls`; return a `Confirmed`, or an error, for each."""
        deadline = _now() + seconds
        if confirm == "all" and _now() - self._counted_at > COUNT_AGE:
            known = await self._count(exchange, seconds)
            if isinstance(known, Exception):
                failure = known.cause if isinstance(known, NoReplyError) else known
                return [NoReplyError(failure, sent=False)] * len(calls)
            self._known, self._counted_at = known, _now()
        wanted = max(1, self._known) if confirm == "all" else confirm

        async def confirmed(commands: Sequence[Command]) -> list[Any]:
            left = deadline - _now()
            wait = ("WAIT", wanted, max(1, int((left - MARGIN) * 1000)))
            *replies, waited = await exchange([*commands, wait], left)
            replicas = waited if isinstance(waited, int) else 0
            problem = "" if isinstance(waited, int | NoReplyError) else described(waited)
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


def _now() -> float:
    return asyncio.get_running_loop().time()
