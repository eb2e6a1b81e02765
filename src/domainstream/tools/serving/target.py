"""Imports the object that `MODULE:OBJECT` names."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from domainstream.errors import DomainStreamError
from domainstream.text import described
from domainstream.tools.common.errors import NotFoundError


class TargetError(DomainStreamError):
    """The target could not be imported, created or run; the cause says where."""


def load(target: str, folder: Path) -> Any:
    """Return the object that `target` names; modules are imported from `folder` or from what is installed.

    Raises `NotFoundError` if it does not exist, `TargetError` when importing it fails.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module, _, name = target.partition(":")
    named: Any = _module(module, folder)
    for part in name.split("."):
        if not hasattr(named, part):
            known = [attribute for attribute in dir(named) if not attribute.startswith("_")]
            look = f"{Path(sys.executable).name} -c 'import {module}; print(dir({module}))'"
            raise NotFoundError.of("object", part, known, where=f"in {module}", look=look)
        named = getattr(named, part)
    return named


def _module(name: str, folder: Path) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            fix = "install it, or name the folder that contains it with: --app-dir"
            raise NotFoundError(f"there is no module {error.name}, also not in {folder}; {fix}") from None
        raise _failed(name, error) from error
    except Exception as error:  # a user's module may do anything
        raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> TargetError:
    return TargetError(f"importing {name} failed: {described(error)}. To see where, add: --debug")
