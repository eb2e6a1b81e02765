"""The settings of a publisher client."""

from dataclasses import dataclass, field
from datetime import timedelta

from domainstream.publisher.retention import Retention
from domainstream.redis.keys import prefix_problem
from domainstream.settings import Confirm, RetryPolicy, confirm_problem
from domainstream.validation import plain_name, positive_fields, raise_problems


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """How many messages may wait in the publisher, and how many of them go in one script call."""

    batch_messages: int = 500
    """Messages of one channel in one script call; the server is busy with a call of 500 messages for about 1 ms
    (measured: 0.6 to 1.1 ms). Defaults to 500.
    """

    batch_bytes: int = 1024 * 1024
    """Bytes in one flush, all channels together; a single larger message goes alone. Defaults to 1 MiB."""

    waiting_messages: int = 10_000
    """Messages that may wait; further `publish` calls wait until there is room. Defaults to 10,000."""

    waiting_bytes: int = 64 * 1024 * 1024
    """The same, in bytes. Defaults to 64 MiB."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for limits below one."""
        raise_problems("BatchLimits", positive_fields(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class PublisherSettings:
    """The settings of a `RedisStreamPublisherClient`."""

    url: str = field(default="redis://localhost:6379", repr=False)
    """The server, as redis-py takes it: `redis://`, `rediss://` or `unix://`; or sentinels and the primary's name, as
    in `redis+sentinel://host:26379,host:26379/mymaster`; or some nodes of a cluster, as in
    `redis+cluster://host:6379,host:6379`. Defaults to this machine.
    """

    prefix: str = ""
    """What each stream's key begins with, before the channel's value. Defaults to nothing."""

    retention: Retention = field(default_factory=Retention)
    """How long streams keep their entries. Defaults to 1 hour, and unread entries until they are read."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """How long and how often a batch is repeated. Defaults to 10 seconds."""

    limits: BatchLimits = field(default_factory=BatchLimits)
    """How many messages may wait, and go in one call."""

    producer_id: str | None = None
    """Part of the key under which the server remembers a client's last batch, so that people can tell clients apart;
    each client adds a random part of its own. Defaults to nothing.
    """

    dedup_window: timedelta = timedelta(minutes=10)
    """How long the server remembers a producer's last batch, to recognise a repeat; longer than any retry. Defaults to
    10 minutes.
    """

    confirm: Confirm | None = None
    """How many replicas must have an event before its receipt says `published`: a number; or "all" that the primary
    has, and at least one; or "fsync", the disks of the primary and of all its replicas. What they do not confirm before
    the deadline is `unknown`. None waits for none of them. `publish(..., confirm=)` overrides it. Defaults to None.
    """

    index: bool = True
    """Whether the streams get an index, by which `domainstream trace` finds what belongs to an aggregate, a transaction
    or an event without reading everything. It takes 12 to 30 bytes of memory for each event. Defaults to True.
    """

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for an invalid prefix, producer id or duration."""
        for name in ("prefix", "producer_id"):
            object.__setattr__(self, name, plain_name(getattr(self, name)))
        wrong_durations = positive_fields(self, but=("confirm", "index"))
        problems = [prefix_problem(self.prefix), confirm_problem(self.confirm), *wrong_durations]
        if self.producer_id is not None and not self.producer_id.isalnum():
            problems.append("producer_id must be letters and digits")
        # A repeat that comes when its batch is forgotten would be added as another one.
        shortest = 2 * self.retry.deadline
        if not wrong_durations and self.dedup_window < shortest:
            problems.append(
                f"dedup_window ({self.dedup_window}) must be at least twice the retry deadline ({shortest})"
            )
        raise_problems("PublisherSettings", problems)
