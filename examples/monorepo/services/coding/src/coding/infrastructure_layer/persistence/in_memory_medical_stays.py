"""Stores medical stays in memory, because an example should not need a database."""

from collections.abc import Iterable

from coding.domain_layer.medical_stay.medical_stay import MedicalStay


class UnknownStayError(Exception):
    """No stay with this number was handed in."""


class InMemoryMedicalStays:
    """The stays of this process."""

    def __init__(self) -> None:
        self._stays: dict[str, MedicalStay] = {}

    def save(self, stays: Iterable[MedicalStay]) -> None:
        """Store `stays`; each replaces its earlier state."""
        self._stays.update((stay.stay_id, stay) for stay in stays)

    def get(self, stay_id: str) -> MedicalStay:
        """Return the stay; raise `UnknownStayError` if it does not exist."""
        try:
            return self._stays[stay_id]
        except KeyError:
            raise UnknownStayError(f"no medical stay {stay_id}") from None
