"""What each service proves when it starts: that it fits into the system."""

from contracts.event_publisher_channels import Channel
from contracts.subscriptions import subscriptions
from domainstream import ChannelRegistry, verify_mapper
from domainstream.producer.mapper import Mapper


def register(service: str, channel_for: Mapper) -> ChannelRegistry:
    """Return who publishes and who listens, as far as one service knows.

    Raises `MapperError` when the service's mapper is not total, and `RegistryError` when it publishes to a channel of
    another service or a channel is missing from the subscriptions.
    """
    mappers = {service: verify_mapper(channel_for)}
    return ChannelRegistry.build(Channel, mappers=mappers, subscriptions=subscriptions)
