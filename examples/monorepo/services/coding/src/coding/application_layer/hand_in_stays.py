"""Hands in stays: the start of the flow."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.domain_layer.medical_stay.medical_stay import MedicalStay, admit
from coding.infrastructure_layer.persistence.sql_medical_stays import SqlMedicalStays
from domainstream import Receipt
from domainstream.outbox import Outbox


async def hand_in_stays(
    stays: Sequence[MedicalStay], *, outbox: Outbox[CodingDomainEvent], sessions: async_sessionmaker[AsyncSession]
) -> list[Receipt]:
    """Store `stays` and their events in one transaction, and return the receipt of each event."""
    async with sessions.begin() as session:
        await SqlMedicalStays(session).save(stays)
        return outbox.add_many(session, [event for stay in stays for event in admit(stay)])
