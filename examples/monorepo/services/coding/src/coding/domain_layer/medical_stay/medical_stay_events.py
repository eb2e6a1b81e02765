"""The events of a medical stay."""

from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class MedicalStayEventType(StrEnum):
    """The event types of this aggregate."""

    DOMAIN_CODING_MEDICAL_STAY_DRAFTED = "domain_coding_medical_stay_drafted"
    DOMAIN_CODING_MEDICAL_STAY_CREATED = "domain_coding_medical_stay_created"
    DOMAIN_CODING_MEDICAL_STAY_RECODED = "domain_coding_medical_stay_recoded"
    DOMAIN_CODING_MEDICAL_STAY_CANCELLED = "domain_coding_medical_stay_cancelled"
    DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED = "domain_coding_medical_stay_optimization_evaluated"


class MedicalStayDraftedPayload(EventPayload):
    """The facts of a draft."""

    stay_id: str
    """The stay's number."""

    ward: str
    """The ward that drafted the stay."""


class MedicalStayCreatedPayload(EventPayload):
    """The facts about a new stay that other services need."""

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


class MedicalStayRecodedPayload(MedicalStayCreatedPayload):
    """The same facts about a stay whose codes have changed."""


class MedicalStayCancelledPayload(EventPayload):
    """Which stay was cancelled."""

    stay_id: str
    """The stay's number."""


class MedicalStayOptimizationEvaluatedPayload(EventPayload):
    """The result of an optimization, as far as the stay is concerned."""

    stay_id: str
    """The stay's number."""

    diagnosis_group: str
    """The diagnosis group that determines the price."""

    added_diagnoses: tuple[str, ...]
    """ICD-10 codes that were documented but not coded."""


@final
class MedicalStayDrafted(BaseEvent[MedicalStayDraftedPayload]):
    """A ward began to document a stay. Other services do not need this event."""

    event_type = MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_DRAFTED


@final
class MedicalStayCreated(BaseEvent[MedicalStayCreatedPayload]):
    """A stay was handed in with the ward's codes: it is coded for the first time."""

    event_type = MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_CREATED


@final
class MedicalStayRecoded(BaseEvent[MedicalStayRecodedPayload]):
    """The ward coded a stay again."""

    event_type = MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_RECODED


@final
class MedicalStayCancelled(BaseEvent[MedicalStayCancelledPayload]):
    """A stay was cancelled: there is nothing to bill."""

    event_type = MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_CANCELLED


@final
class MedicalStayOptimizationEvaluated(BaseEvent[MedicalStayOptimizationEvaluatedPayload]):
    """The missing diagnoses of a stay were determined."""

    event_type = MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED
