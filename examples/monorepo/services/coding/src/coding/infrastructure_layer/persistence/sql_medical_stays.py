"""Stores medical stays in a table."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from coding.domain_layer.medical_stay.medical_stay import MedicalStay, StayStatus


class UnknownStayError(Exception):
    """No stay with this number was handed in."""


class Base(DeclarativeBase):
    """The tables of the service."""


class MedicalStayRow(Base):
    """A stay as a row; its fields are those of `MedicalStay`."""

    __tablename__ = "medical_stays"

    stay_id: Mapped[str] = mapped_column(primary_key=True)
    ward: Mapped[str]
    age_years: Mapped[int]
    length_of_stay_days: Mapped[int]
    principal_diagnosis: Mapped[str]
    coded_diagnoses: Mapped[Any] = mapped_column(JSON)
    documented_diagnoses: Mapped[Any] = mapped_column(JSON)
    status: Mapped[str]
    price_cents: Mapped[int | None]


class SqlMedicalStays:
    """The stays, in the transaction of a session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def save(self, stays: Iterable[MedicalStay]) -> None:
        """Store `stays`; each replaces its earlier state."""
        for stay in stays:
            await self._session.merge(MedicalStayRow(**asdict(stay)))

    async def get(self, stay_id: str) -> MedicalStay:
        """Return the stay, locked until the transaction ends; raise `UnknownStayError` if it does not exist.

        The lock is what keeps the events of one stay in order.
        """
        row = await self._session.get(MedicalStayRow, stay_id, with_for_update=True)
        if row is None:
            raise UnknownStayError(f"no medical stay {stay_id}")
        return MedicalStay(
            stay_id=row.stay_id,
            ward=row.ward,
            age_years=row.age_years,
            length_of_stay_days=row.length_of_stay_days,
            principal_diagnosis=row.principal_diagnosis,
            coded_diagnoses=tuple(row.coded_diagnoses),
            documented_diagnoses=tuple(row.documented_diagnoses),
            status=StayStatus(row.status),
            price_cents=row.price_cents,
        )
