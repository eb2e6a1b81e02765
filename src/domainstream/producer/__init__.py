"""Which event goes where: the mapper's proof and the producer.

No Redis here: a producer speaks to the port `EventPublisher`.

Before: `domainstream.channel`. Next stage: `domainstream.publisher`.
"""

from domainstream.producer.event_producer import EventProducer
from domainstream.producer.mapper import verify_mapper
from domainstream.producer.port import EventPublisher, OutgoingMessage

__all__ = ["EventProducer", "EventPublisher", "OutgoingMessage", "verify_mapper"]
