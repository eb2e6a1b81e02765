"""Publishes batches under identities that the caller has written down, so that a repeat after a crash adds nothing.

A `RedisStreamPublisherClient` counts its own sequences, and forgets them when its process dies. The relay of an outbox
notes the identity of each batch in its database first. Whoever takes over sends the noted batch again under the same
identity: the server returns the entry ids of the first time, or says that it has seen a later batch.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Final, NamedTuple, Self

from redis.exceptions import AuthenticationError, RedisError

from domainstream.errors import ConfigurationError, ServerError, ServerOutOfMemoryError, ServerUnavailableError
from domainstream.producer import OutgoingMessage
from domainstream.publisher.failing_nodes import FailingNodes
from domainstream.publisher.index_records import records_of
from domainstream.publisher.partition_layout import BatchScript, batch_keys
from domainstream.publisher.redis_batch_sender import classify
from domainstream.publisher.retention import Retention, milliseconds, retention_arguments
from domainstream.redis.cluster_link import ClusterLink, open_link
from domainstream.redis.confirming import Confirmed, doubt_about
from domainstream.redis.errors import NoReplyError
from domainstream.redis.keys import prefix_problem, stream_key
from domainstream.redis.link import REPLY_TIMEOUT, Arguments, RedisLink, Reply
from domainstream.settings import Confirm
from domainstream.validation import raise_problems

CLIENT_NAME: Final = "domainstream-relay"
"""How the server's CLIENT LIST shows the connection."""

DEDUP_WINDOW: Final = timedelta(hours=24)
"""How long the server remembers a producer's last batch: as long as a relay may be away with a batch that it noted."""


NODE_TIMEOUT: Final = 2.0
"""Seconds that a node of a cluster may take to answer; the channels of the other nodes wait as long."""


class BatchIdentity(NamedTuple):
    """What the server recognizes a batch by; never use one again for other messages."""

    producer: str
    """Who sends it: letters and digits, drawn at random."""

    sequence: int
    """The batch's number among those of the producer, from 1 on."""


class RedisBatchPublisher:
    """Adds batches of messages to the streams of their channels. For one task."""

    def __init__(
        self,
        link: RedisLink,
        *,
        prefix: str = "",
        retention: Retention | None = None,
        dedup_window: timedelta = DEDUP_WINDOW,
        confirm: Confirm | None = None,
        index: bool = True,
    ) -> None:
        """Send through `link`, which is closed with the publisher; with `confirm`, wait for so many replicas.

        `index` is what `PublisherSettings.index` says.

        Raises `ConfigurationError` for a wrong prefix.
        """
        raise_problems("RedisBatchPublisher", [prefix_problem(prefix)])
        self._link = link
        self._answer_time = NODE_TIMEOUT if isinstance(link, ClusterLink) else REPLY_TIMEOUT
        self._failing = FailingNodes(link)
        self._without_mark: set[str] = set()
        self._script = BatchScript(link, prefix=prefix)
        self._confirm: Confirm | None = confirm
        self._index = index
        self._prefix = prefix
        self._limits = (milliseconds(dedup_window), *retention_arguments(retention or Retention()))

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        prefix: str = "",
        retention: Retention | None = None,
        dedup_window: timedelta = DEDUP_WINDOW,
        confirm: Confirm | None = None,
        index: bool = True,
    ) -> Self:
        """Return a publisher with connections of its own, to one server or a cluster.

        Raises `ConfigurationError` for an invalid URL or prefix.
        """
        link = open_link(url, client_name=CLIENT_NAME)
        return cls(link, prefix=prefix, retention=retention, dedup_window=dedup_window, confirm=confirm, index=index)

    async def send(
        self, messages: Sequence[OutgoingMessage], identity: BatchIdentity
    ) -> dict[str, ServerError | ConfigurationError]:
        """Add messages, those of each target in their order; return why targets are not published, by target.

        The server rejects these targets, or a node of a cluster fails while others do not; everything of the others is
        published. Sending the same messages again under the same identity adds nothing. Raises `ServerError` when all
        have to be sent again, because the server cannot be reached, has no memory left, or rejects the connection, or
        too few replicas confirm.
        """
        by_target: dict[str, list[OutgoingMessage]] = {}
        for message in messages:
            by_target.setdefault(message.target, []).append(message)
        producer = f"producer:{identity.producer}"
        heads = {target: batch_keys(target, producer, self._prefix, index=self._index) for target in by_target}
        keys = {target: head[1] for target, (head, _) in heads.items()}
        resting = await self._failing.resting([*keys.values()])
        asked = [target for target, key in keys.items() if key not in resting]
        calls: list[Arguments] = [
            self._call(*heads[target], str(identity.sequence), by_target[target]) for target in asked
        ]
        began = monotonic()
        replies = await self._script.replies(asked, calls, self._confirm, seconds=self._answer_time) if calls else []
        rejected, waiting = self._failures(zip(asked, replies, strict=True))
        if waiting:
            await self._link.drop()
        self._failing.note([keys[target] for target in asked], [keys[target] for target in waiting], began)
        for target, key in keys.items():
            if key in resting:
                absent = f"{self._link.owner(key)}, which has {target}, has not answered lately"
                waiting[target] = ServerUnavailableError(absent)
        if waiting and not await self._failing.others_go_on(keys[target] for target in waiting):
            raise next(iter(waiting.values()))
        return rejected | waiting

    async def introduce(self, producer: str) -> None:
        """Let the server remember a producer for `dedup_window`. Raises `ServerError`."""
        if await self._ask("SET", self._known(producer), "1", "PX", self._limits[0]) is None:
            self._without_mark.add(producer)
        else:
            self._without_mark.discard(producer)

    async def remembers(self, producer: str) -> bool:
        """Return whether the server still knows a producer, and let it do so for `dedup_window`.

        True as well while the node of a cluster that would know it fails and others do not. One that was introduced
        and is unknown has been forgotten, as after FLUSHALL, and its batches with it: a repeat may add one a second
        time. Raises `ServerError`.
        """
        known = await self._ask("PEXPIRE", self._known(producer), self._limits[0])
        if known == 0 and producer in self._without_mark:
            await self.introduce(producer)
            return True
        return known is None or bool(known)

    async def close(self) -> None:
        """Close the connection; may be called more than once."""
        await self._link.close()

    def _call(self, keys: Arguments, partitions: str, sequence: str, messages: Sequence[OutgoingMessage]) -> Arguments:
        """Return the call of the script that adds messages to one stream."""
        records = records_of(messages) if self._index else b""
        return (*keys, sequence, *self._limits, partitions, records, *[message.data for message in messages])

    def _failures(
        self, replies: Iterable[tuple[str, Reply]]
    ) -> tuple[dict[str, ServerError | ConfigurationError], dict[str, ServerError | ConfigurationError]]:
        """Return the targets that are rejected, and those whose messages have to be sent again, each with the error."""
        rejected: dict[str, ServerError | ConfigurationError] = {}
        waiting: dict[str, ServerError | ConfigurationError] = {}
        for target, reply in replies:
            if isinstance(reply, ConfigurationError):
                rejected[target] = reply
            if isinstance(reply, Confirmed) and (doubt := doubt_about(reply, self._link.place)):
                waiting[target] = doubt
            # A stale sequence: the server has seen a later batch of this producer, so it had this one long ago.
            if isinstance(reply, RedisError | NoReplyError) and not str(reply).startswith("STALESEQUENCE"):
                failure = classify(reply, self._link.place)
                # A connection that is rejected, as by a wrong password, says nothing about the target.
                no_target = isinstance(reply, NoReplyError | AuthenticationError)
                must_wait = failure.repeatable or no_target or isinstance(failure.error, ServerOutOfMemoryError)
                (waiting if must_wait else rejected)[target] = failure.error
        return rejected, waiting

    async def _ask(self, *command: str) -> Any:
        """Send a command about a producer; return None if the node that has its key fails, and others do not."""
        key = command[1]
        if await self._failing.resting([key]) and await self._failing.others_go_on([key]):
            return None
        began = monotonic()
        try:
            reply = await self._link.ask(command, seconds=self._answer_time)
        except ServerUnavailableError:
            self._failing.note([key], [key], began)
            if await self._failing.others_go_on([key]):
                return None
            raise
        self._failing.note([key], [], began)
        return reply

    def _known(self, producer: str) -> str:
        return stream_key(f"relay:{producer}", self._prefix)
