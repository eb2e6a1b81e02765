"""Medical stays, kept in memory: an example needs no database."""

from collections.abc import Iterable

from coding.domain_layer.medical_stay.medical_stay import MedicalStay


class UnknownStayError(Exception):
    """No such stay was ever handed in."""


class InMemoryMedicalStays:
    """The stays that this process knows."""

    def __init__(self) -> None:
        self._stays: dict[str, MedicalStay] = {}

    def save(self, stays: Iterable[MedicalStay]) -> None:
        """Keep `stays`, each in place of its earlier state."""
        self._stays.update((stay.stay_id, stay) for stay in stays)

    def get(self, stay_id: str) -> MedicalStay:
        """Return the stay; raise `UnknownStayError` when there is none."""
        try:
            return self._stays[stay_id]
        except KeyError:
            raise UnknownStayError(f"no medical stay {stay_id}") from None
