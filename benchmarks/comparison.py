"""Rates side by side: medians, and ratios against what is wanted."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Rates = Mapping[str, Sequence[float]]
"""The rates of each path, one per round; rounds of the same number ran one after the other."""


class Comparison(NamedTuple):
    """What is wanted of one of our paths against a peer's."""

    ours: str
    """The name of our path."""

    peer: str
    """The name of the peer's path."""

    wanted: float
    """How many times the peer's rate, at the least."""


def report(rates: Rates, comparisons: Iterable[Comparison], *, unit: str = "events/s") -> bool:
    """Print the medians and the ratios, and tell whether every wanted ratio was reached."""
    print(f"\n{'path':28}{unit + ' (median)':>20}{'lowest':>12}{'highest':>12}")
    for name, values in rates.items():
        print(f"{name:28}{statistics.median(values):>20,.0f}{min(values):>12,.0f}{max(values):>12,.0f}")
    print(f"\n{'ratio (median of the rounds)':56}{'measured':>10}{'wanted':>10}")
    met = [_ratio(rates, comparison) for comparison in comparisons]
    return all(met)


def _ratio(rates: Rates, comparison: Comparison) -> bool:
    pairs = zip(rates[comparison.ours], rates[comparison.peer], strict=True)
    measured = statistics.median(ours / peer for ours, peer in pairs)
    met = "met" if measured >= comparison.wanted else "NOT MET"
    print(f"{comparison.ours + ' / ' + comparison.peer:56}{measured:>10.2f}{comparison.wanted:>10.2f}  {met}")
    return measured >= comparison.wanted
