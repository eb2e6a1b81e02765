"""The example's domain: screening, optimising and pricing stays, and where stays come from."""

from dataclasses import replace

import pytest

from coding.domain_layer.medical_stay.diagnosis_catalogue import COMPLICATIONS, PRINCIPAL_DIAGNOSES
from coding.domain_layer.medical_stay.medical_stay import (
    MedicalStay,
    StayStatus,
    admit,
    cancel,
    priced,
    recode,
    reopened,
)
from coding.domain_layer.optimization.optimization import UncodableStayError, evaluated, optimise
from coding.synthetic_stays import synthetic_stays
from screenflow.domain_layer.run.run import StayToScreen, screen
from screenflow.domain_layer.run.run_events import RunFailed, RunStarted
from valuation.domain_layer.pricing.pricing import calculated, price_cents

STAY = MedicalStay(
    stay_id="stay-1",
    ward="cardiology",
    age_years=80,
    length_of_stay_days=9,
    principal_diagnosis="I50.1",
    coded_diagnoses=("I48.1",),
    documented_diagnoses=("I48.1", "N18.4"),
)
TO_SCREEN = StayToScreen(stay_id="stay-1", codes=("I50.1", "I48.1"), length_of_stay_days=9, age_years=60)


def test_stay_is_created_from_its_draft() -> None:
    """The draft leads to the stay: same correlation, the draft as cause."""
    drafted, created = admit(STAY)
    assert created.correlation_id == created.causation_id == drafted.id
    assert created.payload.coded_diagnoses == ("I48.1",)


def test_stay_that_is_coded_again_has_its_new_codes() -> None:
    """The stay and the event have the same codes, and the stay is as if it were handed in with them."""
    stay, event = recode(reopened(STAY), principal_diagnosis="I21.0", coded_diagnoses=("N18.4",))
    assert (stay.principal_diagnosis, stay.coded_diagnoses) == ("I21.0", ("N18.4",))
    assert (event.payload.principal_diagnosis, event.payload.coded_diagnoses) == ("I21.0", ("N18.4",))
    assert stay.status is StayStatus.CREATED


def test_cancelled_stay_stays_cancelled() -> None:
    """What its services report later does not bring it back, and neither does its ward."""
    stay, event = cancel(STAY)
    assert event.payload.stay_id == "stay-1"
    recoded, _ = recode(stay, principal_diagnosis="I21.0", coded_diagnoses=())
    assert {each.status for each in (stay, reopened(stay), priced(stay, 100), recoded)} == {StayStatus.CANCELLED}


def test_optimising_finds_what_was_documented_but_not_coded() -> None:
    """The weight grows with the levels of all diagnoses, and the score is the share that was missing."""
    optimization = optimise(STAY)
    assert optimization.added_diagnoses == ("N18.4",)
    assert optimization.diagnosis_group == "F62B"
    assert optimization.cost_weight == pytest.approx(0.968 * 1.42, abs=0.001)
    assert optimization.score == pytest.approx(1 - 1.14 / 1.42, abs=0.001)


def test_stay_that_is_coded_completely_scores_nothing() -> None:
    """There is nothing to add."""
    optimization = optimise(replace(STAY, coded_diagnoses=STAY.documented_diagnoses))
    assert optimization.added_diagnoses == ()
    assert optimization.score == 0


def test_stay_without_complications_is_in_the_lightest_group() -> None:
    """The grade of the group is that of the gravest diagnosis."""
    assert optimise(replace(STAY, coded_diagnoses=(), documented_diagnoses=())).diagnosis_group == "F62D"


def test_unknown_principal_diagnosis_cannot_be_optimised() -> None:
    """It is in no group."""
    with pytest.raises(UncodableStayError, match="stay-1"):
        optimise(replace(STAY, principal_diagnosis="Z99.9"))


def test_evaluated_optimization_happens_to_optimization_and_stay() -> None:
    """One event for each of the two aggregates."""
    of_optimization, of_stay = evaluated(optimise(STAY))
    assert of_optimization.aggregate_id == "optimization-stay-1"
    assert of_stay.aggregate_id == "stay-1"
    assert of_stay.payload.added_diagnoses == ("N18.4",)


def test_stay_keeps_what_becomes_of_it() -> None:
    """Reopening and pricing return changed copies."""
    assert reopened(STAY).status is StayStatus.REOPENED
    assert priced(STAY, 100).status == StayStatus.PRICED
    assert priced(STAY, 100).price_cents == 100


def test_screening_starts_a_run_with_its_findings() -> None:
    """Only the rules that hold are found."""
    event = screen(StayToScreen(stay_id="stay-1", codes=("I50.1",), length_of_stay_days=30, age_years=90))
    assert isinstance(event, RunStarted)
    assert event.payload.findings == ("long stay", "high age", "no further diagnosis")


@pytest.mark.parametrize(("codes", "number"), [(("I501",), "1 of 1"), (("I50.1", "x"), "2 of 2")])
def test_mistyped_code_fails_the_run(codes: tuple[str, ...], number: str) -> None:
    """The reason says which diagnosis, and does not repeat what was typed."""
    event = screen(StayToScreen(stay_id="stay-1", codes=codes, length_of_stay_days=1, age_years=20))
    assert isinstance(event, RunFailed)
    assert event.payload.reason == f"diagnosis {number} is not an ICD-10 code"


def test_every_code_of_the_catalogue_passes_the_screening() -> None:
    """Only what the generator mistypes on purpose fails."""
    event = screen(replace(TO_SCREEN, codes=(*PRINCIPAL_DIAGNOSES, *COMPLICATIONS)))
    assert isinstance(event, RunStarted)


@pytest.mark.parametrize(
    ("weight", "days", "cents"),
    [(1.0, 5, 421_065), (1.0, 14, 421_065), (1.0, 16, 421_065 + 2 * 38_450), (0.1, 3, 42_106)],
)
def test_price_is_weight_times_base_rate_and_extra_days(weight: float, days: int, cents: int) -> None:
    """Days beyond what the weight covers are paid one by one."""
    assert price_cents(weight, days) == cents


def test_calculated_price_names_stay_and_group() -> None:
    """The amount is in cents of euros."""
    payload = calculated("stay-1", "F62B", 100).payload
    assert payload.stay_id == "stay-1"
    assert payload.diagnosis_group == "F62B"
    assert payload.amount_cents == 100
    assert payload.currency == "EUR"


def test_same_seed_draws_the_same_stays() -> None:
    """Another seed draws others."""
    assert list(synthetic_stays(50, seed=3)) == list(synthetic_stays(50, seed=3))
    assert list(synthetic_stays(50, seed=3)) != list(synthetic_stays(50, seed=4))


def test_about_one_in_fifty_synthetic_stays_is_mistyped() -> None:
    """All the others have a principal diagnosis of the catalogue, and only documented diagnoses are coded."""
    stays = list(synthetic_stays(2000, seed=1))
    mistyped = [stay for stay in stays if stay.principal_diagnosis not in PRINCIPAL_DIAGNOSES]
    assert 20 <= len(mistyped) <= 60
    assert all(set(stay.coded_diagnoses) <= set(stay.documented_diagnoses) for stay in stays)
    assert len({stay.stay_id for stay in stays}) == 2000
