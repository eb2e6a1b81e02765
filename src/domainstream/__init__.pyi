# The public names, for type checkers; `__init__.py` imports each on first use. `X as X` marks a re-export.
# ruff: noqa: I001 - the usual order would be one statement per name

from domainstream.channel import (
    ChannelRegistry as ChannelRegistry,
    EventPublisherChannel as EventPublisherChannel,
)
from domainstream.errors import (
    DomainStreamError as DomainStreamError,
    PublishCancelledError as PublishCancelledError,
    PublishError as PublishError,
    receipts_of as receipts_of,
)
from domainstream.event import (
    SENSITIVE as SENSITIVE,
    BaseEvent as BaseEvent,
    CorrelationFilter as CorrelationFilter,
    EventPayload as EventPayload,
    UpcasterChain as UpcasterChain,
    caused_by as caused_by,
    follow_up as follow_up,
    follow_up_id as follow_up_id,
)
from domainstream.producer import (
    EventProducer as EventProducer,
    verify_mapper as verify_mapper,
)
from domainstream.publisher import (
    BatchLimits as BatchLimits,
    MemoryPublisher as MemoryPublisher,
    PublisherSettings as PublisherSettings,
    RedisStreamPublisherClient as RedisStreamPublisherClient,
    Retention as Retention,
)
from domainstream.receipt import (
    Outcome as Outcome,
    Receipt as Receipt,
)
from domainstream.settings import (
    Confirm as Confirm,
    MessageLimits as MessageLimits,
    RetryPolicy as RetryPolicy,
)

__all__: list[str]  # noqa: PYI035 - computed at run time
