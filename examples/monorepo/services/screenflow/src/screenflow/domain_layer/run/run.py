"""A run of the screening rules over one stay."""

import re
from dataclasses import dataclass

from screenflow.domain_layer.run.run_events import RunFailed, RunFailedPayload, RunStarted, RunStartedPayload

_ICD_10_CODE = re.compile(r"[A-Z]\d\d(\.\d{1,2})?")
_LONG_STAY_DAYS = 21
_OLD_AGE_YEARS = 75


@dataclass(frozen=True, kw_only=True, slots=True)
class StayToScreen:
    """The facts about a stay that the rules check."""

    stay_id: str
    """The stay's number."""

    codes: tuple[str, ...]
    """The ICD-10 codes, principal diagnosis first."""

    length_of_stay_days: int
    """Nights in hospital."""

    age_years: int
    """The patient's age at admission."""


def screen(stay: StayToScreen) -> RunStarted | RunFailed:
    """Start a run with the findings that apply, or fail it if a code is not an ICD-10 code."""
    mistyped = next((number for number, code in enumerate(stay.codes, 1) if not _ICD_10_CODE.fullmatch(code)), None)
    if mistyped is not None:
        reason = f"diagnosis {mistyped} of {len(stay.codes)} is not an ICD-10 code"
        return RunFailed(aggregate_id=_run_id(stay), payload=RunFailedPayload(stay_id=stay.stay_id, reason=reason))
    return RunStarted(
        aggregate_id=_run_id(stay), payload=RunStartedPayload(stay_id=stay.stay_id, findings=_findings(stay))
    )


def _run_id(stay: StayToScreen) -> str:
    return f"run-{stay.stay_id}"


def _findings(stay: StayToScreen) -> tuple[str, ...]:
    rules = {
        "long stay": stay.length_of_stay_days >= _LONG_STAY_DAYS,
        "high age": stay.age_years >= _OLD_AGE_YEARS,
        "no further diagnosis": len(stay.codes) == 1,
    }
    return tuple(finding for finding, holds in rules.items() if holds)
