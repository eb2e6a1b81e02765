"""Tell singular from plural, for the names of aggregates."""

from collections.abc import Iterator
from typing import Final

_IRREGULAR_PAIRS: Final = """
    analyses:analysis bonuses:bonus buses:bus caches:cache campuses:campus children:child cookies:cookie crises:crisis
    diagnoses:diagnosis indices:index matrices:matrix men:man movies:movie people:person statuses:status viruses:virus
    women:woman
"""
"""Plurals whose singular the endings do not tell."""

_ALWAYS_ON_S: Final = """
    alias atlas aws bias canvas chaos gas ios lens means news pos saas series species
"""
"""Singulars that look like plurals."""

_IRREGULAR: Final = {base: form for base, _, form in (pair.partition(":") for pair in _IRREGULAR_PAIRS.split())}
_SINGULAR: Final = frozenset(_ALWAYS_ON_S.split())


def singular_of(noun: str) -> str:
    """Return the singular of a lower-case noun that looks plural, else the noun itself: stays → stay, status → status.

    Of several words the last one counts: medical_stays → medical_stay.
    """
    before, joint, word = noun.rpartition("_")
    return f"{before}{joint}{_singular(word)}"


def plurals_of(noun: str) -> Iterator[str]:
    """Yield how the plural of a lower-case noun may be written: status → statuss, statuses; analysis → analyses."""
    yield f"{noun}s"
    yield f"{noun}es"
    if noun.endswith("y"):
        yield f"{noun[:-1]}ies"
    before, joint, word = noun.rpartition("_")
    yield from (f"{before}{joint}{plural}" for plural, singular in _IRREGULAR.items() if singular == word)


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if not _looks_plural(word):
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("sses", "xes", "ches", "shes", "zzes")) else word[:-1]


def _looks_plural(word: str) -> bool:
    """Tell whether an -s is more than the end of a singular (status) or of an acronym (sms)."""
    if not word.endswith("s") or word.endswith(("ss", "us", "is")) or word in _SINGULAR:
        return False
    return not set("aeiouy").isdisjoint(word)
