"""Suggests the name that a misspelled one probably meant."""

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence, with a leading space, that names what is closest to `name`; empty when nothing is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes pay for it

    close = get_close_matches(name.casefold(), list(known), n=2, cutoff=0.75)
    if not close:
        return ""
    return f" Did you mean {' or '.join(close)}?"
