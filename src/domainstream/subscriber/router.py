"""Decides what a delivery becomes: jobs, or a dead letter."""

from collections.abc import Sequence
from typing import Any, Final

from domainstream.channel.partitions import partition_of, streams_of
from domainstream.errors import (
    DeliveryLimitError,
    EventDecodingError,
    InvalidEnvelopeError,
    OrderKeyError,
    UnknownEventTypeError,
)
from domainstream.event import EventMessage, read_message
from domainstream.event.trace_context import trace_of
from domainstream.queue import Job, RoutedEntry, job_data, job_id, order_place
from domainstream.settings import MessageLimits
from domainstream.stream import DeadLetter, Delivery
from domainstream.stream.state import id_order
from domainstream.subscriber.subscriptions import QueueHandler, Subscriptions
from domainstream.validation import plain_name, positive, raise_problems

DEFAULT_LIMITS: Final = MessageLimits()
DELIVERY_LIMIT: Final = 5


class JobRouter:
    """Routes each delivery to the jobs of its handlers, or to the dead letters."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        limits: MessageLimits = DEFAULT_LIMITS,
        *,
        delivery_limit: int = DELIVERY_LIMIT,
    ) -> None:
        """Raise `ConfigurationError` for a delivery limit of zero or less."""
        raise_problems("JobRouter", [positive("delivery_limit", delivery_limit, int)])
        self.subscriptions = subscriptions
        """The handlers of every channel."""
        self.limits = limits
        """The limits of a message; one that exceeds them becomes a dead letter."""
        self._channels = {
            stream: str(channel.value)
            for channel in subscriptions.channels
            for stream in streams_of(str(channel.value), channel.partitions)
        }
        self._places: dict[str, tuple[tuple[int, int], str]] = {}
        self._partitions = {
            stream: (number, channel.partitions)
            for channel in subscriptions.channels
            if channel.partitions > 1
            for number, stream in enumerate(streams_of(str(channel.value), channel.partitions))
        }
        self.delivery_limit = delivery_limit
        """How often an entry may be delivered before it becomes a dead letter without being decoded, since decoding or
        forwarding it may be what crashes the subscriber.
        """

    @property
    def streams(self) -> list[str]:
        """The names of the streams of all channels."""
        return list(self._channels)

    @property
    def pools(self) -> list[tuple[str, ...]]:
        """The same, those that are alike together: the partitions of each channel, and all channels without."""
        pools: dict[str, list[str]] = {}
        for stream, channel in self._channels.items():
            pools.setdefault(channel if stream != channel else "", []).append(stream)
        return [tuple(pool) for pool in pools.values()]

    def handlers_of(self, stream: str) -> tuple[QueueHandler, ...]:
        """Return the handlers of a stream's channel."""
        return self.subscriptions.handlers_of(self.channel_of(stream))

    def queues_of(self, stream: str) -> tuple[str, ...]:
        """Return the BullMQ queues that may get jobs of a stream's entries."""
        queues = (
            (handler.queues[own],) if (own := self._own_partition(stream, handler)) is not None else handler.queues
            for handler in self.handlers_of(stream)
        )
        return tuple(dict.fromkeys(queue for some in queues for queue in some))

    def channel_of(self, stream: str) -> str:
        """Return the channel of a stream; in memory, a channel with partitions is one stream."""
        return self._channels.get(stream, stream)

    def route(self, deliveries: Sequence[Delivery]) -> list[RoutedEntry]:
        """Return what each delivery becomes. Deliveries of channels without handlers are not decoded."""
        entries = []
        for delivery in deliveries:
            try:
                entry = RoutedEntry(delivery, self._jobs(delivery))
            except (EventDecodingError, OrderKeyError, DeliveryLimitError) as error:
                entry = RoutedEntry(delivery, dead_letter=DeadLetter(delivery, type(error).__name__, str(error)))
            entries.append(entry)
        return entries

    def _jobs(self, delivery: Delivery) -> tuple[Job, ...]:
        """Return a delivery's jobs. Raises the error that makes it a dead letter."""
        channel = self.channel_of(delivery.channel)
        handlers = self.subscriptions.handlers_of(channel)
        if not handlers:
            return ()
        if delivery.deliveries > self.delivery_limit:
            raise DeliveryLimitError(delivery.deliveries, self.delivery_limit)
        if delivery.data is None:
            raise InvalidEnvelopeError("the entry has no field data")
        message = read_message(delivery.data, self.limits)
        if message.type != channel:
            raise UnknownEventTypeError(
                f"channel {channel} carries events of its own type only",
                event_id=message.id,
                event_type=message.type,
            )
        data = job_data(delivery, message)
        place = self._place(delivery, message) if any(handler.order_by for handler in handlers) else ""
        trace = trace_of(message)
        return tuple(
            [
                Job(
                    handler.queue if handler.partitions == 1 else self._partition(delivery.channel, message, handler),
                    handler.job,
                    _id(message, handler, handlers),
                    data,
                    handler.settings,
                    _order_key(message, handler) if handler.order_by else "",
                    place,
                    trace,
                )
                for handler in handlers
            ]
        )

    def _place(self, delivery: Delivery, message: EventMessage) -> str:
        """Return the place of an event's jobs, which is never before that of an earlier entry of the stream."""
        entry, place = id_order(delivery.entry_id), order_place(delivery, message.time)
        last, last_place = self._places.get(delivery.channel, (entry, place))
        # When a queue has lost jobs, their entries are routed again, from an earlier one on: they keep their places.
        if last < entry:
            place = max(place, last_place)
        self._places[delivery.channel] = entry, place
        return place

    def _partition(self, stream: str, message: EventMessage, handler: QueueHandler) -> str:
        """Return the BullMQ queue that gets a job, of a queue with partitions."""
        own = self._own_partition(stream, handler)
        if own is None:
            own = partition_of(message.partitionkey or message.subject, handler.partitions)
        return handler.queues[own]

    def _own_partition(self, stream: str, handler: QueueHandler) -> int | None:
        """Return the only partition of a queue that gets jobs of a stream; None if that depends on the entry.

        If channel and queue have the same number of partitions, the stream decides, and not the key once more: also
        what another program has put into a stream that its key does not belong to is in order then.
        """
        number, partitions = self._partitions.get(stream, (0, 0))
        return number if partitions == handler.partitions else None


def _id(message: EventMessage, handler: QueueHandler, handlers: Sequence[QueueHandler]) -> str:
    """Return the job's id, which names the job only if its queue gets several jobs of the event."""
    if len(handlers) == 1:
        return job_id(message.id)
    in_queue = sum(other.queue == handler.queue for other in handlers)
    return job_id(message.id, job=handler.job if in_queue > 1 else "")


def _order_key(message: EventMessage, handler: QueueHandler) -> str:
    """Return the key by which an event's job is ordered. Raises `OrderKeyError`."""
    order_by: Any = handler.order_by
    try:
        key = order_by(message)
    except Exception as error:
        raise _order_key_error(f"raised {type(error).__name__}", message, handler) from error
    if problem := _key_problem(key):
        raise _order_key_error(problem, message, handler)
    return str(plain_name(key))


def _key_problem(key: object) -> str | None:
    """Return what is wrong with a key that `order_by` returned; None when it is valid."""
    if not isinstance(key, str):
        return f"returned a value of type {type(key).__name__}, not a text"
    if not key:
        return "returned an empty text"
    try:
        plain_name(key).encode()
    except UnicodeEncodeError:
        return "returned a text with a lone surrogate, which UTF-8 cannot encode"
    return None


def _order_key_error(problem: str, message: EventMessage, handler: QueueHandler) -> OrderKeyError:
    # A partial, and an object that can be called, have no name; their class has.
    function = getattr(handler.order_by, "__qualname__", type(handler.order_by).__name__)
    return OrderKeyError(problem, handler.queue, function=function, event_id=message.id, event_type=message.type)
