"""Adds the jobs of channels to BullMQ queues, in order. Implements `JobAdder`."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

from msgspec.structs import replace
from redis.exceptions import ResponseError

from domainstream.errors import ServerError, ServerOutOfMemoryError, ServerUnavailableError
from domainstream.queue.bullmq.add_calls import (
    UNORDERED,
    AddCall,
    Announcement,
    add_calls,
    add_script,
    fence_call,
    fence_script,
    fenced_of,
    mark_field,
    note_reached,
)
from domainstream.queue.bullmq.scripts import cluster_name, queue_key
from domainstream.queue.port import ChannelEpoch, Fenced, QueueBehindError, Refusal, RoutedEntry, TooManyRefusalsError
from domainstream.queue.settings import OnFailure
from domainstream.redis.call_lane import CallLane, CallLanes
from domainstream.redis.confirming import Confirmed, doubt_about
from domainstream.redis.errors import code_of, server_error
from domainstream.redis.gatherer import Gatherer
from domainstream.redis.keys import lease_key, stream_key
from domainstream.redis.link import Reply
from domainstream.redis.scripts import Script
from domainstream.redis.topology import RedisTopology
from domainstream.settings import Confirm
from domainstream.stream.lease import Lease, LeaseLostError
from domainstream.validation import plain_name

GATHERED: Final = 1_000
"""How many entries of several channels are added at a time, at most, unless one channel alone has more."""

_ALL: Final = ""
"""Stands for all queues, where one call can add to all of them."""


class BullMQJobAdder:
    """A `JobAdder` for queues on one server, behind sentinels, or on a cluster."""

    def __init__(
        self,
        lanes: CallLanes,
        *,
        group: str,
        prefix: str = "",
        bull_prefix: str = "bull",
        beside_streams: bool = False,
        confirm: Confirm | None = None,
        on_failure: Mapping[str, OnFailure] = UNORDERED,
    ) -> None:
        """Work over `lanes`, which the caller closes; `on_failure` has the queues whose jobs are handled in order.

        `beside_streams` says that queues and streams are on one server, whose keys one call may use together; then a
        fence makes sure that jobs are added where the lease was taken. With `confirm`, jobs are added once so many
        replicas have them. Raises `MissingExtraError` without the package `bullmq`.
        """
        self._lanes = lanes
        self._group = plain_name(group)
        self._prefix = prefix
        self._bull_prefix = plain_name(bull_prefix)
        self._beside_streams = beside_streams and not lanes.topology.is_cluster
        self._confirm: Confirm | None = confirm
        self._on_failure = on_failure
        self._fence, self._add = fence_script(), add_script()
        self._add_in_order = add_script(in_order=True) if on_failure else self._add
        # By the queue, and whether they use the script for jobs that are handled in order.
        self._gatherers: dict[tuple[str, bool], Gatherer[_Request, list[Refusal]]] = {}
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(cls, url: str | RedisTopology, *, group: str, **options: Any) -> "BullMQJobAdder":
        """Return one that owns its connections; the constructor says what the rest means."""
        lanes = CallLanes(url)
        adder = cls(lanes, group=group, **options)
        adder._owned.push_async_callback(lanes.close)
        return adder

    async def fence(
        self, channel: str, lease: Lease, queues: Sequence[str]
    ) -> tuple[ChannelEpoch, Mapping[str, Fenced]]:
        """Announce a lease to queues; see `JobAdder.fence`."""
        stream = stream_key(channel, self._prefix)
        # Also under the token before, so that owners who know only that one stay out.
        tokens = dict.fromkeys(token for token in (lease.token, lease.token_before) if token)
        marks = [mark_field(self._group, stream, token) for token in tokens]
        state = (lease.epoch, lease.last_delivered, lease.epoch_before, lease.first_pending)
        announced = [(mark, *state) for mark in marks]
        leases = [lease_key(stream, self._group)] * len(marks) if self._beside_streams else []
        said = await asyncio.gather(*(self._fence_at(queue, announced, leases) for queue in queues))
        fenced = {queue: parts[0] for queue, parts in zip(queues, said, strict=True)}
        return ChannelEpoch(mark=marks[0], epoch=lease.epoch, queues=queues), fenced

    async def add(self, channel: str, entries: Sequence[RoutedEntry], epoch: ChannelEpoch) -> Sequence[Refusal]:
        """Add jobs; see `JobAdder.add`."""
        if not entries:
            return []
        if not self._lanes.topology.is_cluster:
            is_in_order = any(queue in self._on_failure for queue in epoch.queues)
            return await self._gatherer(_ALL, is_in_order=is_in_order).ask(_Request(channel, entries, epoch))
        requests = {queue: _part(channel, entries, epoch, queue) for queue in epoch.queues}
        parts = await asyncio.gather(
            *(
                self._gatherer(queue, is_in_order=queue in self._on_failure).ask(request)
                for queue, request in requests.items()
                if request.entries
            ),
            return_exceptions=True,
        )
        for part in parts:  # only when all have come to an end: nothing may be under way any more
            if isinstance(part, BaseException):
                raise part
        return [refusal for part in parts if not isinstance(part, BaseException) for refusal in part]

    async def close(self) -> None:
        """Close the connections if it owns them; see `JobAdder.close`."""
        for gatherer in self._gatherers.values():
            await gatherer.join()
        await self._owned.aclose()

    async def _fence_at(self, queue: str, announced: Sequence[Announcement], leases: Sequence[str]) -> list[Fenced]:
        name = self._bullmq_name(queue)
        lane = self._lane(name)
        call = fence_call(name, announced, bull_prefix=self._bull_prefix, leases=leases)
        (reply,), _ = await lane.eval(self._fence, [call])
        if code_of(reply) == "ELSEWHERE":
            await lane.drop()
            raise LeaseLostError(f"the queue {queue} was asked for at another server than the streams: {reply}")
        if code_of(reply) == "FENCED":
            raise LeaseLostError(f"a later owner has taken the lease: {reply}")
        if isinstance(reply, Exception):
            raise server_error(reply, self._lanes.topology.place) from None
        return fenced_of(reply)

    def _gatherer(self, queue: str, *, is_in_order: bool) -> "Gatherer[_Request, list[Refusal]]":
        key = (queue, is_in_order)
        if key not in self._gatherers:

            async def add(requests: Sequence[_Request]) -> list[_Result]:
                return await self._add_together(queue, requests, is_in_order=is_in_order)

            self._gatherers[key] = Gatherer(add, lambda request: len(request.entries), most=GATHERED)
        return self._gatherers[key]

    async def _add_together(self, queue: str, requests: Sequence["_Request"], *, is_in_order: bool) -> list["_Result"]:
        """Add what several channels ask for; if one of them may be the cause of a failure, each on its own."""
        entries = [entry for request in requests for entry in request.entries]
        epochs = {request.channel: request.epoch for request in requests}
        options: dict[str, Any] = {
            "bull_prefix": self._bull_prefix,
            "bullmq_name": self._bullmq_name,
            "confirmed": self._confirm is not None,
            "on_failure": self._on_failure if is_in_order else UNORDERED,
        }
        calls = list(add_calls(entries, epochs, **options))
        script = self._add_in_order if is_in_order else self._add
        replies = await self._replies(self._lane(self._bullmq_name(queue)), script, calls)
        failed = next((number for number, reply in enumerate(replies) if isinstance(reply, Exception)), None)
        if failed is None:
            note_reached(entries, epochs)
            refused = {request.channel: list[Refusal]() for request in requests}
            for call, reply in zip(calls, replies, strict=True):
                for channel, entry_id, queue_number, reason in reply[1]:
                    name = call.queues[int(queue_number) - 1]
                    refusal = Refusal(entry_id.decode(), name, reason.decode(errors="replace"))
                    refused[call.channels[int(channel) - 1]].append(refusal)
            return list(refused.values())
        error = self._error(replies[failed], calls[failed])
        if len(requests) == 1:
            return [error]
        if isinstance(error, ServerUnavailableError | ServerOutOfMemoryError):
            return [type(error)(*error.args) for _ in requests]
        return [
            result
            for request in requests
            for result in await self._add_together(queue, [request], is_in_order=is_in_order)
        ]

    async def _replies(self, lane: CallLane, script: Script, calls: Sequence[AddCall]) -> list[Reply]:
        replies, _ = await lane.eval(script, [call.arguments for call in calls], confirm=self._confirm)
        if self._confirm is None:
            return replies
        place = self._lanes.topology.place
        return [
            (doubt_about(reply, place) or reply.reply) if isinstance(reply, Confirmed) else reply for reply in replies
        ]

    def _error(self, reply: Exception, call: AddCall) -> Exception:
        code, *words = str(reply).split(" ")
        if isinstance(reply, ServerError):
            return reply
        if not isinstance(reply, ResponseError) or code not in ("FENCED", "UNFENCED", "BEHIND", "HOLES"):
            return server_error(reply, self._lanes.topology.place)
        if code == "FENCED":
            return LeaseLostError(f"a later owner has announced itself to the queues: epoch {words[0]}")
        queue = call.queues[int(words[0]) - 1]
        if code == "UNFENCED":
            return LeaseLostError(f"the queue {queue} does not know of this epoch")
        if code == "BEHIND":
            return QueueBehindError(queue, words[2])
        reason = " ".join(words[1:])
        return TooManyRefusalsError(f"the queue {queue} has not taken so many entries that the channel waits: {reason}")

    def _lane(self, name: str) -> CallLane:
        return self._lanes.of(queue_key(self._bull_prefix, name, ""))

    def _bullmq_name(self, queue: str) -> str:
        return cluster_name(self._bull_prefix, queue) if self._lanes.topology.is_cluster else queue


class _Request(NamedTuple):
    """What one channel asks for."""

    channel: str
    entries: Sequence[RoutedEntry]
    epoch: ChannelEpoch


_Result = list[Refusal] | Exception


def _part(channel: str, entries: Sequence[RoutedEntry], epoch: ChannelEpoch, queue: str) -> _Request:
    """Return what a request asks of one of its queues."""
    some = []
    for entry in entries:
        jobs = tuple([job for job in entry.jobs if job.queue == queue])
        if jobs or not entry.jobs:
            some.append(replace(entry, jobs=jobs))
    return _Request(channel, some, replace(epoch, queues=[queue]))
