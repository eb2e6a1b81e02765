"""Finds the object that is to be run."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from domainstream.cli.common.errors import NotFoundError
from domainstream.errors import DomainStreamError


class TargetError(DomainStreamError):
    """What was named cannot be imported, made or run; the cause tells where."""


class Target(click.ParamType):  # type: ignore[type-arg]  # it takes a type since click 8.4 alone
    """`MODULE:OBJECT`, as `shop.subscriptions:subscriptions`."""

    name = "module:object"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, or fail with an example."""
        module, _, name = str(value).partition(":")
        if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
            self.fail(f"{value!r} is no MODULE:OBJECT, as shop.subscriptions:subscriptions", param, ctx)
        return str(value)


def load(target: str, folder: Path) -> Any:
    """Return the object that `target` names, its module imported from `folder` or from what is installed.

    Raises `NotFoundError` where there is none, `TargetError` when importing it fails.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module, _, name = target.partition(":")
    found: Any = _module(module, folder)
    for part in name.split("."):
        if not hasattr(found, part):
            known = [one for one in dir(found) if not one.startswith("_")]
            look = f"{Path(sys.executable).name} -c 'import {module}; print(dir({module}))'"
            raise NotFoundError.of("object", part, known, where=f"in {module}", look=look)
        found = getattr(found, part)
    return found


def _module(name: str, folder: Path) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            advice = "install it, or name the folder that it lies in with: --app-dir"
            raise NotFoundError(f"there is no module {error.name}, also not in {folder}; {advice}") from None
        raise _failed(name, error) from error
    except Exception as error:  # a user's module may do anything
        raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> TargetError:
    return TargetError(f"importing {name} failed: {type(error).__name__}: {error}. To see where, add: --debug")
