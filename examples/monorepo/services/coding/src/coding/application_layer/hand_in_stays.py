"""Hands in stays: the start of the flow."""

from collections.abc import Sequence

from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.domain_layer.medical_stay.medical_stay import MedicalStay, admit
from coding.infrastructure_layer.persistence.in_memory_medical_stays import InMemoryMedicalStays
from domainstream import EventProducer, Receipt


async def hand_in_stays(
    stays: Sequence[MedicalStay], *, producer: EventProducer[CodingDomainEvent], known: InMemoryMedicalStays
) -> list[Receipt]:
    """Store `stays`, publish their events in one round trip, and return the receipt of each event."""
    known.save(stays)
    return await producer.publish_many(event for stay in stays for event in admit(stay))
