"""Optimises a stay: finds documented diagnoses without a code, and the cost weight once they are coded."""

from dataclasses import dataclass

from coding.domain_layer.medical_stay.diagnosis_catalogue import COMPLICATIONS, PRINCIPAL_DIAGNOSES
from coding.domain_layer.medical_stay.medical_stay import MedicalStay
from coding.domain_layer.medical_stay.medical_stay_events import (
    MedicalStayOptimizationEvaluated,
    MedicalStayOptimizationEvaluatedPayload,
)
from coding.domain_layer.optimization.optimization_events import OptimizationEvaluated, OptimizationEvaluatedPayload

_WEIGHT_PER_LEVEL = 0.14
_GRADES = "DCBA"


class UncodableStayError(Exception):
    """The principal diagnosis does not belong to a group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimization:
    """The result of coding a stay completely."""

    stay_id: str
    """The stay's number."""

    added_diagnoses: tuple[str, ...]
    """ICD-10 codes that were documented but not coded, sorted."""

    diagnosis_group: str
    """The diagnosis group that determines the price, such as "F62B"."""

    cost_weight: float
    """The stay's cost weight in that group."""

    score: float
    """The share of the cost weight that would have been missed, from 0 to 1."""

    length_of_stay_days: int
    """Nights in hospital."""


def optimise(stay: MedicalStay) -> Optimization:
    """Return the optimization of `stay`; raise `UncodableStayError` if its diagnosis has no group."""
    principal = PRINCIPAL_DIAGNOSES.get(stay.principal_diagnosis)
    if principal is None:
        raise UncodableStayError(f"{stay.stay_id}: its principal diagnosis is in no group")
    complete = {*stay.coded_diagnoses, *stay.documented_diagnoses}
    weight = _weight(principal.cost_weight, complete)
    return Optimization(
        stay_id=stay.stay_id,
        added_diagnoses=tuple(sorted(complete.difference(stay.coded_diagnoses))),
        diagnosis_group=principal.group + _grade(complete),
        cost_weight=weight,
        score=round(1 - _weight(principal.cost_weight, stay.coded_diagnoses) / weight, 4),
        length_of_stay_days=stay.length_of_stay_days,
    )


def evaluated(optimization: Optimization) -> tuple[OptimizationEvaluated, MedicalStayOptimizationEvaluated]:
    """Return the events of a finished optimization: one of the optimization, one of the stay."""
    return (
        OptimizationEvaluated(
            aggregate_id=f"optimization-{optimization.stay_id}",
            payload=OptimizationEvaluatedPayload(
                stay_id=optimization.stay_id,
                score=optimization.score,
                diagnosis_group=optimization.diagnosis_group,
                cost_weight=optimization.cost_weight,
                length_of_stay_days=optimization.length_of_stay_days,
            ),
        ),
        MedicalStayOptimizationEvaluated(
            aggregate_id=optimization.stay_id,
            payload=MedicalStayOptimizationEvaluatedPayload(
                stay_id=optimization.stay_id,
                diagnosis_group=optimization.diagnosis_group,
                added_diagnoses=optimization.added_diagnoses,
            ),
        ),
    )


def _weight(base: float, diagnoses: set[str] | tuple[str, ...]) -> float:
    levels = sum(COMPLICATIONS.get(code, 0) for code in set(diagnoses))
    return round(base * (1 + _WEIGHT_PER_LEVEL * levels), 3)


def _grade(diagnoses: set[str]) -> str:
    return _GRADES[max((COMPLICATIONS.get(code, 0) for code in diagnoses), default=0)]
