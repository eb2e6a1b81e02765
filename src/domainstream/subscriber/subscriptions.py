"""Who gets the events of a channel: queues."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from domainstream.channel import EventPublisherChannel
from domainstream.errors import SubscriptionError
from domainstream.queue import JobSettings
from domainstream.queue.names import name_problem

DEFAULT_SETTINGS: Final = JobSettings()


class QueueHandler(Struct, frozen=True, gc=False):
    """A queue that gets a job for each event of a channel; made by `to_queue`."""

    queue: str
    """The queue's name."""

    job: str
    """The name of its jobs."""

    settings: JobSettings = DEFAULT_SETTINGS
    """What the queue is told about each of them."""

    def __str__(self) -> str:
        return f"{self.queue}:{self.job}"


def to_queue(queue: str, *, job: str, settings: JobSettings = DEFAULT_SETTINGS) -> QueueHandler:
    """Send each event of a channel to `queue`, as a job named `job`.

    `settings` say how often such a job is tried, when it may begin and how long it is kept.

    Raises `SubscriptionError` for names that are empty or hold ":" or white space.
    """
    found = [problem for problem in (name_problem("queue", queue), name_problem("job", job)) if problem]
    if found:
        raise SubscriptionError("to_queue cannot be used:", found)
    return QueueHandler(str(queue), str(job), settings)


class Subscriptions(Mapping[EventPublisherChannel, tuple[QueueHandler, ...]]):
    """The handlers of every channel; frozen. Made by `create_multiple_handlers`.

    A mapping from channel to handlers, in the order of the enum.
    """

    def __init__(self, handlers: Mapping[EventPublisherChannel, tuple[QueueHandler, ...]]) -> None:
        self._handlers = MappingProxyType(dict(handlers))

    @property
    def channels(self) -> tuple[EventPublisherChannel, ...]:
        """Every channel, in the order of the enum."""
        return tuple(self._handlers)

    def handlers_of(self, channel: str) -> tuple[QueueHandler, ...]:
        """Return the handlers of a channel, given as member or as value; empty where nobody listens yet.

        Raises `KeyError` for a channel that the enum does not have.
        """
        # Members are strings and equal to their values, so a plain value finds its member.
        return self._handlers[channel]  # type: ignore[index]

    def __getitem__(self, channel: EventPublisherChannel) -> tuple[QueueHandler, ...]:
        return self._handlers[channel]

    def __iter__(self) -> Iterator[EventPublisherChannel]:
        return iter(self._handlers)

    def __len__(self) -> int:
        return len(self._handlers)
