"""Channels: the enum that names them, the grammar of their names, and who publishes and listens to each.

This stage does no I/O and knows nothing of Redis.

Before: `domainstream.event`. Next stage: `domainstream.producer`.
"""

from domainstream.channel.event_publisher_channel import EventPublisherChannel
from domainstream.channel.registry import ChannelRegistry

__all__ = ["ChannelRegistry", "EventPublisherChannel"]
