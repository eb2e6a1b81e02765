"""Names: accepted in kebab, snake or Pascal case, and written as Python, queues and sentences need them."""

import keyword
import re
import sys
from collections.abc import Iterable
from typing import Final

from domainstream.tools.common.formatting import did_you_mean
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
"""Packages that a service of the same name would shadow."""


def snake(typed: str, what: str) -> str:
    """Return a name in snake case: MedicalStay, medical-stay → medical_stay.

    A number belongs to the word before it.

    Raises `RefusedError`, which calls the argument `what`, for a name with other characters.
    """
    if not _TYPED.fullmatch(typed):
        raise RefusedError(f"The {what} cannot be used:", [f"{typed!r} must be words of letters and digits"])
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", typed))
    return re.sub(r"_(?=[0-9])", "", re.sub(r"[_-]+", "_", parted)).lower()


def pascal(name: str) -> str:
    """Return a name in snake case as the name of a class: medical_stay → MedicalStay."""
    return "".join(word.capitalize() for word in name.split("_"))


def kebab(name: str) -> str:
    """Return a name in snake case as the name of a queue or job: price_stay → price-stay."""
    return name.replace("_", "-")


def words(name: str) -> str:
    """Return a name in snake case as words of a sentence: medical_stay → medical stay."""
    return name.replace("_", " ")


def with_article(name: str) -> str:
    """Return a name in snake case as words with an article: medical_stay → a medical stay."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {words(name)}"


def package_problems(service: str) -> Iterable[str]:
    """Yield why a service's package cannot have this name."""
    if keyword.iskeyword(service):
        yield f"{service} is a Python keyword; use another name, for example: {service}_service"
    elif service in sys.stdlib_module_names or service in _PACKAGES:
        yield f"{service} would shadow the package of that name; use, for example: {service}_service"


def module_problems(aggregate: str) -> Iterable[str]:
    """Yield why an aggregate's folder cannot have this name."""
    if keyword.iskeyword(aggregate):
        yield f"{aggregate} is a Python keyword; use another name for the aggregate"


def near_or_known(typed: str, known: Iterable[str]) -> str:
    """Return a sentence, with a space before it, that suggests a similar name, or lists all where none is similar."""
    known = list(known)
    return did_you_mean(typed, known) or f" Known: {', '.join(known) or 'none yet'}."
