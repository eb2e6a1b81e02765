"""What happens to a run."""

from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class RunEventType(StrEnum):
    """The types of events of this aggregate."""

    DOMAIN_SCREENFLOW_RUN_STARTED = "domain_screenflow_run_started"
    DOMAIN_SCREENFLOW_RUN_FAILED = "domain_screenflow_run_failed"


class RunStartedPayload(EventPayload):
    """What the rules found before the run began."""

    stay_id: str
    """The stay that is screened."""

    findings: tuple[str, ...]
    """The rules that hold for it."""


class RunFailedPayload(EventPayload):
    """Why a stay cannot be screened."""

    stay_id: str
    """The stay."""

    reason: str
    """What is to be corrected."""


@final
class RunStarted(BaseEvent[RunStartedPayload]):
    """A stay is being screened."""

    event_type = RunEventType.DOMAIN_SCREENFLOW_RUN_STARTED


@final
class RunFailed(BaseEvent[RunFailedPayload]):
    """A stay could not be screened."""

    event_type = RunEventType.DOMAIN_SCREENFLOW_RUN_FAILED
