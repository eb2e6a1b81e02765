"""A medical stay, from the ward's draft to its price."""

from dataclasses import dataclass, replace
from enum import StrEnum

from coding.domain_layer.medical_stay.medical_stay_events import (
    MedicalStayCancelled,
    MedicalStayCancelledPayload,
    MedicalStayCreated,
    MedicalStayCreatedPayload,
    MedicalStayDrafted,
    MedicalStayDraftedPayload,
    MedicalStayRecoded,
    MedicalStayRecodedPayload,
)


class StayStatus(StrEnum):
    """The state of a stay."""

    CREATED = "created"
    REOPENED = "reopened"
    PRICED = "priced"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class MedicalStay:
    """One stay of one patient."""

    stay_id: str
    """The stay's number in the hospital."""

    ward: str
    """The ward that treated the patient."""

    age_years: int
    """The patient's age at admission."""

    length_of_stay_days: int
    """Nights in hospital."""

    principal_diagnosis: str
    """The ICD-10 code of the reason for the stay, as the ward typed it."""

    coded_diagnoses: tuple[str, ...]
    """Further ICD-10 codes, as the ward typed them."""

    documented_diagnoses: tuple[str, ...]
    """The diagnoses in laboratory reports and letters, coded or not."""

    status: StayStatus = StayStatus.CREATED
    """The state of the stay."""

    price_cents: int | None = None
    """The price of the stay; None until it is priced."""


def admit(stay: MedicalStay) -> tuple[MedicalStayDrafted, MedicalStayCreated]:
    """Return the events of a ward handing in a stay: a draft, and the stay created from it."""
    drafted = MedicalStayDrafted(
        aggregate_id=stay.stay_id, payload=MedicalStayDraftedPayload(stay_id=stay.stay_id, ward=stay.ward)
    )
    created = MedicalStayCreated(
        aggregate_id=stay.stay_id,
        payload=MedicalStayCreatedPayload(
            stay_id=stay.stay_id,
            principal_diagnosis=stay.principal_diagnosis,
            coded_diagnoses=stay.coded_diagnoses,
            length_of_stay_days=stay.length_of_stay_days,
            age_years=stay.age_years,
        ),
    )
    return drafted, drafted.caused(created)


def recode(
    stay: MedicalStay, *, principal_diagnosis: str, coded_diagnoses: tuple[str, ...]
) -> tuple[MedicalStay, MedicalStayRecoded]:
    """Return the stay with the codes that the ward has typed now, and the event of that."""
    recoded = replace(stay, principal_diagnosis=principal_diagnosis, coded_diagnoses=coded_diagnoses)
    payload = MedicalStayRecodedPayload(
        stay_id=stay.stay_id,
        principal_diagnosis=principal_diagnosis,
        coded_diagnoses=coded_diagnoses,
        length_of_stay_days=stay.length_of_stay_days,
        age_years=stay.age_years,
    )
    return _with_status(recoded, StayStatus.CREATED), MedicalStayRecoded(aggregate_id=stay.stay_id, payload=payload)


def cancel(stay: MedicalStay) -> tuple[MedicalStay, MedicalStayCancelled]:
    """Return the stay as cancelled, which it stays, and the event of that."""
    payload = MedicalStayCancelledPayload(stay_id=stay.stay_id)
    return (
        replace(stay, status=StayStatus.CANCELLED),
        MedicalStayCancelled(aggregate_id=stay.stay_id, payload=payload),
    )


def reopened(stay: MedicalStay) -> MedicalStay:
    """Return the stay as reopened for correction by the ward."""
    return _with_status(stay, StayStatus.REOPENED)


def priced(stay: MedicalStay, cents: int) -> MedicalStay:
    """Return the stay with its price."""
    return _with_status(replace(stay, price_cents=cents), StayStatus.PRICED)


def _with_status(stay: MedicalStay, status: StayStatus) -> MedicalStay:
    """Return the stay with `status`, unless it is cancelled."""
    return stay if stay.status is StayStatus.CANCELLED else replace(stay, status=status)
