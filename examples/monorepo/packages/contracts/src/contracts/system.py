"""The check that each service makes when it starts: do its events match the channels and subscriptions?"""

from contracts.event_publisher_channels import Channel
from contracts.subscriptions import subscriptions
from domainstream import ChannelRegistry, verify_mapper
from domainstream.producer.mapper import Mapper


def register(service: str, channel_for: Mapper) -> ChannelRegistry:
    """Return the registry of channels, with the publishers and listeners that one service knows.

    Raises `MapperError` if the service's mapper misses an event, and `RegistryError` if it publishes to a channel of
    another service, or a channel is missing from the subscriptions.
    """
    mappers = {service: verify_mapper(channel_for)}
    return ChannelRegistry.build(Channel, mappers=mappers, subscriptions=subscriptions)
