"""domainstream: domain events for Python services on Redis Streams, delivered to BullMQ queues.

::

    event ─▶ channel ─▶ producer ─▶ publisher ═▶ stream ═▶ subscriber ═▶ queue ─▶ worker ─▶ handler
             (mapper; None = stays)               (Redis)                 (BullMQ)

Each stage is a package of that name; what a publishing service needs stands here. The consuming half is in
`domainstream.subscriber` and `domainstream.worker`, what both halves share about a process in
`domainstream.settings`.

Names are imported when they are first asked for: a domain layer that needs `BaseEvent` does not load a Redis client.
Type checkers read `__init__.pyi`.
"""

# pyright: reportUnsupportedDunderAll=false
# The names below are made by __getattr__, which only __init__.pyi can tell a type checker.

from importlib import import_module
from typing import Any, Final

_HOMES: Final = {
    "domainstream.channel": ("ChannelRegistry", "EventPublisherChannel"),
    "domainstream.settings": ("MessageLimits", "RetryPolicy"),
    "domainstream.errors": ("DomainStreamError", "PublishCancelledError", "PublishError", "receipts_of"),
    "domainstream.event": (
        "BaseEvent",
        "CorrelationFilter",
        "EventPayload",
        "UpcasterChain",
        "caused_by",
        "follow_up",
        "follow_up_id",
    ),
    "domainstream.producer": ("EventProducer", "verify_mapper"),
    "domainstream.publisher": (
        "BatchLimits",
        "MemoryPublisher",
        "PublisherSettings",
        "RedisStreamPublisherClient",
        "Retention",
    ),
    "domainstream.receipt": ("Outcome", "Receipt"),
}

__all__ = [
    "BaseEvent",
    "BatchLimits",
    "ChannelRegistry",
    "CorrelationFilter",
    "DomainStreamError",
    "EventPayload",
    "EventProducer",
    "EventPublisherChannel",
    "MemoryPublisher",
    "MessageLimits",
    "Outcome",
    "PublishCancelledError",
    "PublishError",
    "PublisherSettings",
    "Receipt",
    "RedisStreamPublisherClient",
    "Retention",
    "RetryPolicy",
    "UpcasterChain",
    "caused_by",
    "follow_up",
    "follow_up_id",
    "receipts_of",
    "verify_mapper",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the package it lives in, the first time it is asked for (PEP 562)."""
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
