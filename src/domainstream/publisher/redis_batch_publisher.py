"""Publishes batches under identities that the caller has written down, so that a repeat after a crash adds nothing.

A `RedisStreamPublisherClient` counts its own sequences, and forgets them when its process dies. The relay of an outbox
notes the identity of each batch in its database first. Whoever takes over sends the noted batch again under the same
identity: the server returns the entry ids of the first time, or says that it has seen a later batch.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple, Self

from redis.exceptions import AuthenticationError, RedisError

from domainstream.errors import ServerError, ServerOutOfMemoryError
from domainstream.producer import OutgoingMessage
from domainstream.publisher.redis_batch_sender import PUBLISH_BATCH, classify
from domainstream.publisher.retention import Retention, milliseconds, retention_arguments
from domainstream.redis.cluster_link import open_link
from domainstream.redis.confirming import Confirmed, doubt_about
from domainstream.redis.errors import NoReplyError
from domainstream.redis.keys import companion_key, prefix_problem, stream_key
from domainstream.redis.link import REPLY_TIMEOUT, Arguments, RedisLink, Reply
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

    async def send(self, messages: Sequence[OutgoingMessage], identity: BatchIdentity) -> dict[str, ServerError]:
        """Add messages, those of each channel in their order; return why the server rejected channels, by channel.

        Nothing of a rejected channel was added, and everything of the others. Sending the same messages again under the
        same identity adds nothing. Raises `ServerError` when some may have been added and some not, because the server
        cannot be reached, has no memory left, or rejects the connection, or too few replicas confirm: send them again.
        """
        by_channel: dict[str, list[bytes]] = {}
        for message in messages:
            by_channel.setdefault(message.channel, []).append(message.data)
        calls: list[Arguments] = [
            ("2", key, self._last_batch(key, identity), str(identity.sequence), *self._limits, *data)
            for channel, data in by_channel.items()
            for key in [stream_key(channel, self._prefix)]
        ]
        rejected: dict[str, ServerError] = {}
        waiting: ServerError | None = None
        for channel, reply in zip(by_channel, await self._replies(calls), strict=True):
            if isinstance(reply, Confirmed):
                waiting = doubt_about(reply, self._link.place) or waiting
            # A stale sequence: the server has seen a later batch of this producer, so it had this one long ago.
            if isinstance(reply, RedisError | NoReplyError) and not str(reply).startswith("STALESEQUENCE"):
                failure = classify(reply, self._link.place)
                # A connection that is rejected, as by a wrong password, says nothing about the channel.
                no_channel = isinstance(reply, NoReplyError | AuthenticationError)
                if failure.repeatable or no_channel or isinstance(failure.error, ServerOutOfMemoryError):
                    waiting = failure.error
                rejected[channel] = failure.error
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

    async def _replies(self, calls: Sequence[Arguments]) -> list[Reply]:
        if self._confirm is None:
            return await self._link.eval_each(PUBLISH_BATCH, calls)
        return await self._link.eval_each_confirmed(PUBLISH_BATCH, calls, confirm=self._confirm, seconds=REPLY_TIMEOUT)

    async def _ask(self, *command: str) -> Any:
        return await self._link.ask(command, seconds=REPLY_TIMEOUT)

    def _known(self, producer: str) -> str:
        return stream_key(f"relay:{producer}", self._prefix)

    def _last_batch(self, key: str, identity: BatchIdentity) -> str:
        return companion_key(key, f"producer:{identity.producer}")
