"""Looks after queues whose jobs are handled in order, while nothing is added to them. A `MaintenanceTask`.

`lua/gates.lua` says what gates are, and `lua/tend_gates.lua` what there is to do.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from domainstream.queue.bullmq.job_batch import gate_script
from domainstream.queue.bullmq.scripts import cluster_name, now_ms, queue_key
from domainstream.queue.port import NewlyHeld
from domainstream.queue.settings import OnFailure
from domainstream.redis.call_lane import CallLanes
from domainstream.redis.errors import server_error
from domainstream.redis.scripts import Script
from domainstream.validation import plain_name

AT_A_TIME: Final = 100
"""How many jobs and keys a call looks at, so that the server is busy for no more than about 2 ms."""


class GateKeeper:
    """Starts jobs whose turn has come because the job before was removed, or has failed and is skipped.

    BullMQ starts all others by itself. Any number of instances may do this at the same time. For one task.
    """

    every = timedelta(seconds=1)
    """The pause between two rounds."""

    def __init__(
        self,
        lanes: CallLanes,
        on_failure: Mapping[str, OnFailure],
        *,
        bull_prefix: str = "bull",
        on_held: Callable[[NewlyHeld], None] = lambda _: None,
    ) -> None:
        """Work over `lanes`, which the caller closes, on the queues that `on_failure` has.

        `on_held` is called when a job has failed and holds its key, by one of the instances. Raises
        `MissingExtraError` without the package `bullmq`.
        """
        self._lanes = lanes
        self._on_failure = on_failure
        self._bull_prefix = plain_name(bull_prefix)
        self._on_held = on_held
        self._script = Script.of(gate_script("tend_gates"))

    async def run_once(self) -> None:
        """Look after each queue. Raises the same errors as `JobAdder`."""
        for queue, on_failure in self._on_failure.items():
            while await self._tend(queue, on_failure):
                pass

    async def close(self) -> None:
        """Do nothing: it has no connections of its own."""

    async def _tend(self, queue: str, on_failure: OnFailure) -> int:
        """Make one call; return a number other than 0 if there is more to do."""
        name = cluster_name(self._bull_prefix, queue) if self._lanes.topology.is_cluster else queue
        prefix = queue_key(self._bull_prefix, name, "")
        mailbox = f"{prefix}order:wait"
        call = (1, mailbox, prefix, now_ms(), on_failure, AT_A_TIME)
        (reply,), _ = await self._lanes.of(mailbox).eval(self._script, [call])
        if isinstance(reply, Exception):
            raise server_error(reply, self._lanes.topology.place) from None
        left, held = reply
        for key, job_id, waiting in held:
            self._on_held(NewlyHeld(queue, key.decode(), job_id.decode(), waiting))
        return int(left)
