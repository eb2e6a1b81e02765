"""Turns a table of channels and handlers into `Subscriptions`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domainstream.channel import EventPublisherChannel
from domainstream.errors import SubscriptionError
from domainstream.subscriber.subscriptions import QueueHandler, Subscriptions


def create_multiple_handlers(mapping: Mapping[EventPublisherChannel, Sequence[QueueHandler]]) -> Subscriptions:
    """Return the subscriptions that `mapping` describes.

    It has to be total: every channel of the enum is named, with `[]` where nobody listens yet::

        subscriptions = create_multiple_handlers({
            Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED: [to_queue("valuation", job="price-stay")],
            Channel.DOMAIN_VALUATION_PRICING_CALCULATED: [],
        })

    Raises `SubscriptionError` naming, all at once, every channel that is missing with the line to type, every key
    that is not a member of the enum, every value that is not a list, and every handler that stands twice on a channel.
    """
    channels = _enum_of(mapping)
    problems = [*_strangers(mapping, channels), *_missing(mapping, channels), *_wrong_handlers(mapping)]
    if problems:
        raise SubscriptionError(f"The subscriptions do not fit {channels.__name__}:", problems)
    return Subscriptions({channel: tuple(mapping[channel]) for channel in channels})


def _enum_of(mapping: Mapping[EventPublisherChannel, object]) -> type[EventPublisherChannel]:
    """Return the enum of the first key that has one."""
    for key in mapping:
        if isinstance(key, EventPublisherChannel):
            return type(key)
    problem = "no key is a channel; type: create_multiple_handlers({Channel.DOMAIN_...: [to_queue(...)], ...})"
    raise SubscriptionError("The subscriptions cannot be used:", [problem])


def _strangers(mapping: Mapping[EventPublisherChannel, object], channels: type[EventPublisherChannel]) -> Iterable[str]:
    for key in mapping:
        if not isinstance(key, channels):
            yield f"{key!r} is not a member of {channels.__name__}; {_advice(str(key), channels)}"


def _advice(value: str, channels: type[EventPublisherChannel]) -> str:
    meant = _meant(value, channels)
    return f"type: {channels.__name__}.{meant.name}" if meant else "add it to the enum, or remove the line"


def _meant(value: str, channels: type[EventPublisherChannel]) -> EventPublisherChannel | None:
    return next((channel for channel in channels if value in (channel.value, channel.name)), None)


def _missing(mapping: Mapping[EventPublisherChannel, object], channels: type[EventPublisherChannel]) -> Iterable[str]:
    # A key that only means a channel is told as a stranger, not as missing too.
    present = {key if isinstance(key, channels) else _meant(str(key), channels) for key in mapping}
    for channel in channels:
        if channel not in present:
            name = f"{channels.__name__}.{channel.name}"
            yield f"{name} is missing; where nobody listens yet, type: {name}: [],"


def _wrong_handlers(mapping: Mapping[EventPublisherChannel, Sequence[Any]]) -> Iterable[str]:
    for key, handlers in mapping.items():
        name = getattr(key, "name", str(key))
        if isinstance(handlers, str) or not isinstance(handlers, Sequence):
            yield f"{name}: {_no_list(handlers)}"
            continue
        for position, handler in enumerate(handlers):
            if not isinstance(handler, QueueHandler):
                yield f"{name}: {handler!r} is no handler; type: to_queue('queue', job='job')"
            elif any(str(handler) == str(other) for other in handlers[:position]):
                yield f"{name}: the queue {handler.queue} has the job {handler.job} twice; remove one of the two"


def _no_list(value: object) -> str:
    if isinstance(value, QueueHandler):
        return f"a handler stands outside of a list; type: [to_queue({value.queue!r}, job={value.job!r})]"
    return f"the value is of type {type(value).__name__}, no list; type: [to_queue('queue', job='job')]"
