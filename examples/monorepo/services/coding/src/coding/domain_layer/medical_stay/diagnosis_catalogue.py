"""A small catalogue of diagnoses: real ICD-10 codes with invented groups and weights."""

from typing import Final, NamedTuple


class PrincipalDiagnosis(NamedTuple):
    """A reason for a stay."""

    group: str
    """The base of the diagnosis group."""

    cost_weight: float
    """The relative cost of such a stay; the average of all stays is 1."""

    usual_days: int
    """The usual length of such a stay, in days."""


PRINCIPAL_DIAGNOSES: Final = {
    "A41.9": PrincipalDiagnosis("T60", 1.912, 11),
    "C34.1": PrincipalDiagnosis("E71", 1.105, 8),
    "G35.1": PrincipalDiagnosis("B68", 0.874, 6),
    "I21.0": PrincipalDiagnosis("F60", 1.231, 7),
    "I50.1": PrincipalDiagnosis("F62", 0.968, 9),
    "I63.4": PrincipalDiagnosis("B70", 1.544, 10),
    "J18.9": PrincipalDiagnosis("E79", 0.812, 7),
    "J44.1": PrincipalDiagnosis("E65", 0.746, 7),
    "K35.8": PrincipalDiagnosis("G23", 0.902, 4),
    "K80.1": PrincipalDiagnosis("H08", 0.985, 5),
    "M16.1": PrincipalDiagnosis("I47", 2.103, 9),
    "N17.9": PrincipalDiagnosis("L60", 1.418, 10),
    "S72.0": PrincipalDiagnosis("I08", 1.876, 12),
}
"""Reasons for a stay, by ICD-10 code."""

COMPLICATIONS: Final = {
    "D62": 1,
    "D69.5": 2,
    "E11.7": 2,
    "E44.0": 1,
    "E87.1": 1,
    "F05.8": 2,
    "I48.1": 1,
    "J96.0": 3,
    "L89.2": 2,
    "N18.4": 2,
    "N39.0": 1,
    "R65.1": 3,
    "Z95.0": 0,
}
"""How much a further diagnosis adds to the effort of a stay, from 0 (nothing) to 3."""
