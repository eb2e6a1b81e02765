"""Names as they are typed, in kebab, snake or Pascal case, and as they are written."""

import keyword
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from domainstream.tools.scaffold.errors import RefusedError

_TYPED: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-]+[A-Za-z0-9]+)*")
_PACKAGES: Final = frozenset(
    {
        "bullmq",
        "click",
        "conftest",
        "contracts",
        "domainstream",
        "hiredis",
        "jinja2",
        "libcst",
        "msgspec",
        "mypy",
        "packages",
    }
    | {"pip", "pytest", "redis", "rich", "ruff", "services", "setuptools", "tests", "uuid_utils"}
)
"""Names that a service's package would hide."""


def snake(typed: str, what: str) -> str:
    """Return a typed name as lower-case words joined by `_`: MedicalStay, medical-stay → medical_stay.

    A number belongs to the word before it. `what` names the argument in the message of `RefusedError`.
    """
    if not _TYPED.fullmatch(typed):
        raise RefusedError(f"The {what} cannot be used:", [f"{typed!r} must be words of letters and digits"])
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", typed))
    return re.sub(r"_(?=[0-9])", "", re.sub(r"[_-]+", "_", parted)).lower()


def pascal(name: str) -> str:
    """Return a name in snake case as a class is called: medical_stay → MedicalStay."""
    return "".join(word.capitalize() for word in name.split("_"))


def kebab(name: str) -> str:
    """Return a name in snake case as queues and jobs are called: price_stay → price-stay."""
    return name.replace("_", "-")


def words(name: str) -> str:
    """Return a name in snake case as in a sentence: medical_stay → medical stay."""
    return name.replace("_", " ")


def with_article(name: str) -> str:
    """Return a name in snake case after its article: medical_stay → a medical stay."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {words(name)}"


def package_problems(service: str) -> Iterable[str]:
    """Yield why Python could not import a service's package of that name."""
    if keyword.iskeyword(service):
        yield f"{service} is a word of Python; type another name, for example: {service}_service"
    elif service in sys.stdlib_module_names or service in _PACKAGES:
        yield f"{service} would hide the package of that name; type, for example: {service}_service"


def module_problems(aggregate: str) -> Iterable[str]:
    """Yield why Python could not import an aggregate's folder of that name."""
    if keyword.iskeyword(aggregate):
        yield f"{aggregate} is a word of Python; type another name for the aggregate"


def did_you_mean(typed: str, known: Iterable[str]) -> str:
    """Return what was meant, or all that there is."""
    known = list(known)
    near = get_close_matches(typed, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none yet'}."
