"""domainstream: domain events for Python services on Redis Streams, delivered to BullMQ queues.

::

    event ─▶ channel ─▶ producer ─▶ publisher ═▶ stream ═▶ subscriber ═▶ queue ─▶ worker ─▶ handler
             (mapper; None = stays)               (Redis)                 (BullMQ)

Each stage is a package of that name. This package exports what a publishing service needs. The consuming half is in
`domainstream.subscriber` and `domainstream.worker`.

Names are imported on first use, so that a domain layer that needs `BaseEvent` does not load a Redis client.
"""

# pyright: reportUnsupportedDunderAll=false
# Type checkers read __init__.pyi, which repeats these names as imports.

from importlib import import_module
from typing import Any, Final

_MODULES: Final = {
    "channel": "ChannelRegistry EventPublisherChannel",
    "errors": "DomainStreamError PublishCancelledError PublishError receipts_of",
    "event": "SENSITIVE BaseEvent CorrelationFilter EventPayload UpcasterChain caused_by follow_up follow_up_id",
    "producer": "EventProducer verify_mapper",
    "publisher": "BatchLimits MemoryPublisher PublisherSettings RedisStreamPublisherClient Retention",
    "receipt": "Outcome Receipt",
    "settings": "Confirm MessageLimits RetryPolicy",
}
_MODULE_OF: Final = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605 - a list of strings, but not a literal


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
