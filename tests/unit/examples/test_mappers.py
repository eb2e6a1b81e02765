"""The example's events, mappers, channels and subscriptions fit together."""

from typing import get_args

import pytest

from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.domain_layer.medical_stay.medical_stay_events import MedicalStayDrafted
from coding.infrastructure_layer.events.coding_event_producer import coding_event_producer_mapper
from contracts.bull_mq_jobs import BullMqJobs
from contracts.bull_mq_queues import BullMqQueues
from contracts.event_publisher_channels import Channel
from contracts.subscriptions import subscriptions
from contracts.system import register
from domainstream import ChannelRegistry, verify_mapper
from domainstream.errors import RegistryError
from domainstream.producer.mapper import Mapper
from screenflow.domain_layer.screenflow_domain_event import ScreenflowDomainEvent
from screenflow.infrastructure_layer.events.screenflow_event_producer import screenflow_event_producer_mapper
from valuation.infrastructure_layer.events.valuation_event_producer import valuation_event_producer_mapper

MAPPERS: dict[str, Mapper] = {
    "coding": coding_event_producer_mapper.channel_for,
    "screenflow": screenflow_event_producer_mapper.channel_for,
    "valuation": valuation_event_producer_mapper.channel_for,
}


@pytest.mark.parametrize("service", MAPPERS)
def test_mapper_sends_each_event_to_the_channel_of_its_type(service: str) -> None:
    """Every class of the service's union is mapped, and every channel is the service's own."""
    mapped = verify_mapper(MAPPERS[service])
    assert mapped
    assert {channel.service for channel in mapped.values() if channel} == {service}


def test_mappers_cover_their_unions() -> None:
    """What is proven about a mapper is proven about the whole union."""
    assert set(verify_mapper(MAPPERS["coding"])) == set(get_args(CodingDomainEvent))
    assert set(verify_mapper(MAPPERS["screenflow"])) == set(get_args(ScreenflowDomainEvent))


def test_draft_stays_inside_its_service() -> None:
    """Only drafts are mapped to None."""
    inside = [event for mapper in MAPPERS.values() for event, channel in verify_mapper(mapper).items() if not channel]
    assert inside == [MedicalStayDrafted]


def test_every_channel_has_a_publisher_and_a_listener() -> None:
    """The registry of the whole system can be built, and nothing in it is an orphan."""
    registry = ChannelRegistry.build(
        Channel,
        mappers={service: verify_mapper(mapper) for service, mapper in MAPPERS.items()},
        subscriptions=subscriptions,
    )
    assert registry.without_publisher == ()
    assert registry.without_listeners == ()
    assert registry.listeners_of(Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED) == ("valuation:price-stay",)


def test_service_knows_its_own_channels_when_it_starts() -> None:
    """A service that registers sees which channels are its own, and who listens to them."""
    registry = register("valuation", MAPPERS["valuation"])
    assert registry.publisher_of(Channel.DOMAIN_VALUATION_PRICING_CALCULATED) == "valuation"
    listeners = registry.listeners_of(Channel.DOMAIN_VALUATION_PRICING_CALCULATED)
    assert listeners == ("coding:record-price", "notifications:announce-price")


def test_service_with_the_mapper_of_another_does_not_start() -> None:
    """Registering refuses to publish to channels of another service."""
    with pytest.raises(RegistryError, match="a channel of coding"):
        register("valuation", MAPPERS["coding"])


def test_every_queue_and_job_is_used_once() -> None:
    """No name in the enums is left over, and no job is subscribed twice."""
    handlers = [handler for each in subscriptions.values() for handler in each]
    assert {handler.queue for handler in handlers} == {queue.value for queue in BullMqQueues}
    assert sorted(handler.job for handler in handlers) == sorted(job.value for job in BullMqJobs)
