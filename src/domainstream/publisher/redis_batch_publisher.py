"""Publishes batches under identities that the caller has written down, so that a repeat after a crash adds nothing.

A `RedisStreamPublisherClient` counts its own sequences, and forgets them when its process dies. The relay of an outbox
notes the identity of each batch in its database first. Whoever takes over sends the noted batch again under the same
identity: the server returns the entry ids of the first time, or says that it has seen a later batch.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple, Self

from redis.exceptions import AuthenticationError, RedisError

from domainstream.errors import ConfigurationError, ServerError, ServerOutOfMemoryError
from domainstream.producer import OutgoingMessage
from domainstream.publisher.partition_layout import BatchScript, batch_keys
from domainstream.publisher.redis_batch_sender import classify
from domainstream.publisher.retention import Retention, milliseconds, retention_arguments
from domainstream.redis.cluster_link import open_link
from domainstream.redis.confirming import Confirmed, doubt_about
from domainstream.redis.errors import NoReplyError
from domainstream.redis.keys import prefix_problem, stream_key
from domainstream.redis.link import REPLY_TIMEOUT, Arguments, RedisLink
from domainstream.settings import Confirm
from domainstream.validation import raise_problems

CLIENT_NAME: Final = "domainstream-relay"
"""How the server's CLIENT LIST shows the connection."""

DEDUP_WINDOW: Final = timedelta(hours=24)
"""How long the server remembers a producer's last batch: as long as a relay may be away with a batch that it noted."""


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
    ) -> None:
        """Send through `link`, which is closed with the publisher; with `confirm`, wait for so many replicas.

        Raises `ConfigurationError` for a wrong prefix.
        """
        raise_problems("RedisBatchPublisher", [prefix_problem(prefix)])
        self._link = link
        self._script = BatchScript(link, prefix=prefix)
        self._confirm: Confirm | None = confirm
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
    ) -> Self:
        """Return a publisher with connections of its own, to one server or a cluster.

        Raises `ConfigurationError` for an invalid URL or prefix.
        """
        link = open_link(url, client_name=CLIENT_NAME)
        return cls(link, prefix=prefix, retention=retention, dedup_window=dedup_window, confirm=confirm)

    async def send(
        self, messages: Sequence[OutgoingMessage], identity: BatchIdentity
    ) -> dict[str, ServerError | ConfigurationError]:
        """Add messages, those of each target in their order; return why the server rejected targets, by target.

        Nothing of a rejected target was added, and everything of the others. Sending the same messages again under the
        same identity adds nothing. Raises `ServerError` when some may have been added and some not, because the server
        cannot be reached, has no memory left, or rejects the connection, or too few replicas confirm: send them again.
        """
        by_target: dict[str, list[bytes]] = {}
        for message in messages:
            by_target.setdefault(message.target, []).append(message.data)
        calls: list[Arguments] = [
            (*keys, str(identity.sequence), *self._limits, partitions, *data)
            for target, data in by_target.items()
            for keys, partitions in [batch_keys(target, f"producer:{identity.producer}", self._prefix)]
        ]
        rejected: dict[str, ServerError | ConfigurationError] = {}
        waiting: ServerError | ConfigurationError | None = None
        replies = await self._script.replies(list(by_target), calls, self._confirm, seconds=REPLY_TIMEOUT)
        for target, reply in zip(by_target, replies, strict=True):
            if isinstance(reply, ConfigurationError):
                rejected[target] = reply
            if isinstance(reply, Confirmed):
                waiting = doubt_about(reply, self._link.place) or waiting
            # A stale sequence: the server has seen a later batch of this producer, so it had this one long ago.
            if isinstance(reply, RedisError | NoReplyError) and not str(reply).startswith("STALESEQUENCE"):
                failure = classify(reply, self._link.place)
                # A connection that is rejected, as by a wrong password, says nothing about the target.
                no_target = isinstance(reply, NoReplyError | AuthenticationError)
                if failure.repeatable or no_target or isinstance(failure.error, ServerOutOfMemoryError):
                    waiting = failure.error
                rejected[target] = failure.error
        if waiting is not None:
            await self._link.drop()
            raise waiting
        return rejected

    async def introduce(self, producer: str) -> None:
        """Let the server remember a producer for `dedup_window`. Raises `ServerError`."""
        await self._ask("SET", self._known(producer), "1", "PX", self._limits[0])

    async def remembers(self, producer: str) -> bool:
        """Return whether the server still knows a producer, and let it do so for `dedup_window`.

        One that was introduced and is unknown has been forgotten, as after FLUSHALL, and its batches with it: a repeat
        may add one a second time. Raises `ServerError`.
        """
        return bool(await self._ask("PEXPIRE", self._known(producer), self._limits[0]))

    async def close(self) -> None:
        """Close the connection; may be called more than once."""
        await self._link.close()

    async def _ask(self, *command: str) -> Any:
        return await self._link.ask(command, seconds=REPLY_TIMEOUT)

    def _known(self, producer: str) -> str:
        return stream_key(f"relay:{producer}", self._prefix)
