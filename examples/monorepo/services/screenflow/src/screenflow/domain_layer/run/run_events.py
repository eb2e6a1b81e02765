"""The events of a screening run."""

from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class RunEventType(StrEnum):
    """The event types of this aggregate."""

    DOMAIN_SCREENFLOW_RUN_STARTED = "domain_screenflow_run_started"
    DOMAIN_SCREENFLOW_RUN_FAILED = "domain_screenflow_run_failed"


class RunStartedPayload(EventPayload):
    """The findings at the start of a run."""

    stay_id: str
    """The screened stay's number."""

    findings: tuple[str, ...]
    """The rules that apply to the stay."""


class RunFailedPayload(EventPayload):
    """Why a stay cannot be screened."""

    stay_id: str
    """The stay's number."""

    reason: str
    """The mistake to correct."""


@final
class RunStarted(BaseEvent[RunStartedPayload]):
    """A stay is being screened."""

    event_type = RunEventType.DOMAIN_SCREENFLOW_RUN_STARTED


@final
class RunFailed(BaseEvent[RunFailedPayload]):
    """A stay could not be screened."""

    event_type = RunEventType.DOMAIN_SCREENFLOW_RUN_FAILED
