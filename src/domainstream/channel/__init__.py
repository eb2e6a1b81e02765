"""Where events may go: the one enum of channels, its grammar, and who publishes and listens. Pure: no I/O, no Redis.

Before: `domainstream.event`. Next stage: `domainstream.producer`.
"""

from domainstream.channel.event_publisher_channel import EventPublisherChannel
from domainstream.channel.registry import ChannelRegistry

__all__ = ["ChannelRegistry", "EventPublisherChannel"]
