"""The registry of the whole example monorepo, as a user would write it for the documents."""

from coding.infrastructure_layer.events.coding_event_producer import coding_event_producer_mapper as coding
from contracts.event_publisher_channels import Channel
from contracts.subscriptions import subscriptions
from domainstream import ChannelRegistry, verify_mapper
from domainstream.producer.mapper import Mapper
from screenflow.infrastructure_layer.events.screenflow_event_producer import (
    screenflow_event_producer_mapper as screenflow,
)
from valuation.infrastructure_layer.events.valuation_event_producer import valuation_event_producer_mapper as valuation

MAPPERS: dict[str, Mapper] = {
    "coding": coding.channel_for,
    "screenflow": screenflow.channel_for,
    "valuation": valuation.channel_for,
}

registry = ChannelRegistry.build(
    Channel,
    mappers={service: verify_mapper(channel_for) for service, channel_for in MAPPERS.items()},
    subscriptions=subscriptions,
)
