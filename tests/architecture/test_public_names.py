"""Public names: each package says which they are, and each name says what it does."""

import importlib
import inspect

import pytest
from support.source_code import modules

PACKAGES = [module.name for module in modules() if module.path.stem == "__init__"]
NAMES = [(package, name) for package in PACKAGES for name in getattr(importlib.import_module(package), "__all__", ())]


def test_every_module_has_a_docstring() -> None:
    """Who opens a file reads first what it is for."""
    silent = [str(module) for module in modules() if module.tree.body and not module.docstring]

    assert silent == []


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_public_name_exists(package: str, name: str) -> None:
    """What `__all__` promises is there."""
    assert hasattr(importlib.import_module(package), name)


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_public_name_has_a_docstring(package: str, name: str) -> None:
    """A public class or function says in its own words what it is; what a dataclass makes up does not count."""
    one = getattr(importlib.import_module(package), name)
    text = one.__doc__ or ""

    assert not (inspect.isclass(one) or inspect.isroutine(one)) or (text and not text.startswith(f"{name}("))


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_listed_once(package: str) -> None:
    """`__all__` has no name twice."""
    names = getattr(importlib.import_module(package), "__all__", [])

    assert len(names) == len(set(names))
