"""A medical stay, from the ward's draft to its price."""

from dataclasses import dataclass, replace
from enum import StrEnum

from coding.domain_layer.medical_stay.medical_stay_events import (
    MedicalStayCreated,
    MedicalStayCreatedPayload,
    MedicalStayDrafted,
    MedicalStayDraftedPayload,
)


class StayStatus(StrEnum):
    """How far a stay has come."""

    CREATED = "created"
    REOPENED = "reopened"
    PRICED = "priced"


@dataclass(frozen=True, kw_only=True, slots=True)
class MedicalStay:
    """One stay of one patient.

    Attributes:
        stay_id: Its number in the hospital.

        ward: Where the patient lay.

        age_years: The patient's age at admission.

        length_of_stay_days: Nights in hospital.

        principal_diagnosis: The ICD-10 code of the reason for the stay, as the ward typed it.

        coded_diagnoses: Further ICD-10 codes, as the ward typed them.

        documented_diagnoses: What laboratory and letters say the patient had, coded or not.

        status: How far it has come.

        price_cents: What the stay is worth; None until it is priced.
    """

    stay_id: str
    ward: str
    age_years: int
    length_of_stay_days: int
    principal_diagnosis: str
    coded_diagnoses: tuple[str, ...]
    documented_diagnoses: tuple[str, ...]
    status: StayStatus = StayStatus.CREATED
    price_cents: int | None = None


def admit(stay: MedicalStay) -> tuple[MedicalStayDrafted, MedicalStayCreated]:
    """Return what happens when a ward hands in a stay: a draft, and the stay created from it."""
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


def reopened(stay: MedicalStay) -> MedicalStay:
    """Return the stay, back with the ward for correction."""
    return replace(stay, status=StayStatus.REOPENED)


def priced(stay: MedicalStay, cents: int) -> MedicalStay:
    """Return the stay with its price."""
    return replace(stay, status=StayStatus.PRICED, price_cents=cents)
