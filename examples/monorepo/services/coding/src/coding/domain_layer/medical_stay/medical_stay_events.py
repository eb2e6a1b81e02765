"""What happens to a medical stay."""

from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class MedicalStayEventType(StrEnum):
    """The types of events of this aggregate."""

    DOMAIN_CODING_MEDICAL_STAY_DRAFTED = "domain_coding_medical_stay_drafted"
    DOMAIN_CODING_MEDICAL_STAY_CREATED = "domain_coding_medical_stay_created"
    DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED = "domain_coding_medical_stay_optimization_evaluated"


class MedicalStayDraftedPayload(EventPayload):
    """What is known of a draft."""

    stay_id: str
    """The stay's number."""

    ward: str
    """Who drafted it."""


class MedicalStayCreatedPayload(EventPayload):
    """What other services need to know of a new stay."""

    stay_id: str
    """The stay's number."""

    principal_diagnosis: str
    """The ICD-10 code of the reason for the stay."""

    coded_diagnoses: tuple[str, ...]
    """Further ICD-10 codes."""

    length_of_stay_days: int
    """Nights in hospital."""

    age_years: int
    """The patient's age at admission."""


class MedicalStayOptimizationEvaluatedPayload(EventPayload):
    """What the optimization means for the stay."""

    stay_id: str
    """The stay's number."""

    diagnosis_group: str
    """The group that the stay is paid by."""

    added_diagnoses: tuple[str, ...]
    """ICD-10 codes that were documented but not coded."""


@final
class MedicalStayDrafted(BaseEvent[MedicalStayDraftedPayload]):
    """A ward began to write a stay down. Nobody outside of coding needs to know."""

    event_type = MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_DRAFTED


@final
class MedicalStayCreated(BaseEvent[MedicalStayCreatedPayload]):
    """A stay was handed in with the ward's codes."""

    event_type = MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_CREATED


@final
class MedicalStayOptimizationEvaluated(BaseEvent[MedicalStayOptimizationEvaluatedPayload]):
    """It is known which diagnoses the stay lacks."""

    event_type = MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED
