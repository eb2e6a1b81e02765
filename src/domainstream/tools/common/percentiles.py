"""Percentiles by the nearest rank: each is a value that was measured."""

from collections.abc import Sequence
from math import ceil


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest of `values` that at least `percent` of them do not exceed; None without values."""
    if not values:
        return None
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]
