"""Generates synthetic medical stays from a seed; no data of real patients is used."""

from collections.abc import Iterator
from random import Random

from coding.domain_layer.medical_stay.diagnosis_catalogue import COMPLICATIONS, PRINCIPAL_DIAGNOSES
from coding.domain_layer.medical_stay.medical_stay import MedicalStay

_WARDS = ("cardiology", "emergency", "geriatrics", "internal medicine", "neurology", "orthopaedics", "surgery")
_MISTYPED = 0.02


def synthetic_stays(count: int, seed: int) -> Iterator[MedicalStay]:
    """Yield `count` stays, the same for the same seed. About one in fifty has a mistyped principal diagnosis."""
    random = Random(seed)
    for number in range(1, count + 1):
        yield _draw(random, f"stay-{number:06}")


def _draw(random: Random, stay_id: str) -> MedicalStay:
    code = random.choice(list(PRINCIPAL_DIAGNOSES))
    documented = random.sample(list(COMPLICATIONS), k=random.randint(0, 5))
    days = max(1, round(random.gammavariate(3, PRINCIPAL_DIAGNOSES[code].usual_days / 3)))
    return MedicalStay(
        stay_id=stay_id,
        ward=random.choice(_WARDS),
        age_years=min(99, max(18, round(random.gauss(66, 16)))),
        length_of_stay_days=days,
        principal_diagnosis=code.replace(".", "") if random.random() < _MISTYPED else code,
        coded_diagnoses=tuple(documented[: random.randint(0, len(documented))]),
        documented_diagnoses=tuple(documented),
    )
