"""The bill of a stay."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """What is billed for a stay."""

    stay_id: str
    """The stay's number."""

    diagnoses: tuple[str, ...]
    """The ICD-10 codes that are billed, principal diagnosis first; none if the stay was cancelled."""
