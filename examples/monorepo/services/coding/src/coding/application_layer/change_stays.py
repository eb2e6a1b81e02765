"""Changes stays that were handed in: a ward codes one again, or cancels it."""

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.domain_layer.medical_stay.medical_stay import cancel, recode
from coding.infrastructure_layer.persistence.sql_medical_stays import SqlMedicalStays
from domainstream.outbox import Outbox


async def recode_stay(
    stay_id: str,
    *,
    principal_diagnosis: str,
    coded_diagnoses: tuple[str, ...],
    outbox: Outbox[CodingDomainEvent],
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    """Store new codes of a stay, and the event of that, in one transaction. Raises `UnknownStayError`."""
    async with sessions.begin() as session:
        stays = SqlMedicalStays(session)
        stay, event = recode(
            await stays.get(stay_id), principal_diagnosis=principal_diagnosis, coded_diagnoses=coded_diagnoses
        )
        await stays.save([stay])
        outbox.add(session, event)


async def cancel_stay(
    stay_id: str, *, outbox: Outbox[CodingDomainEvent], sessions: async_sessionmaker[AsyncSession]
) -> None:
    """Cancel a stay, and store the event of that, in one transaction. Raises `UnknownStayError`."""
    async with sessions.begin() as session:
        stays = SqlMedicalStays(session)
        stay, event = cancel(await stays.get(stay_id))
        await stays.save([stay])
        outbox.add(session, event)
