"""Finds the registry that `MODULE:OBJECT` names, importing the user's code."""

import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from domainstream.channel import ChannelRegistry
from domainstream.cli.common.errors import NotFoundError
from domainstream.cli.common.suggestions import did_you_mean
from domainstream.errors import ConfigurationError, DomainStreamError

_PLACE: Final = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_BUILD: Final = "registry = ChannelRegistry.build(Channel, mappers={...}, subscriptions=subscriptions)"


class ImportFailedError(DomainStreamError):
    """A module of the user's could not be imported, or a function of the user's raised."""


def registry_at(place: str) -> ChannelRegistry:
    """Return the registry at `MODULE:OBJECT`: the object itself, or what it returns when it is called.

    Modules are looked for in the current folder first, then where Python looks.

    Raises `ConfigurationError` for a place that is none and an object that is no registry, `NotFoundError` for a module
    or object that does not exist, `ImportFailedError` for code that raises.
    """
    found = _PLACE.fullmatch(place)
    if found is None:
        raise ConfigurationError(
            f"{place!r} is not MODULE:OBJECT:", ["name the registry as in: myapp.system:registry, with one colon"]
        )
    module = _module(found[1])
    return _registry(_object(module, found[2]), place)


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise NotFoundError(_no_module(name, error.name, here)) from error
        raise ImportFailedError(_failed(f"importing {name}", error)) from error
    except Exception as error:
        raise ImportFailedError(_failed(f"importing {name}", error)) from error


def _no_module(name: str, missing: str, here: str) -> str:
    return (
        f"there is no module {missing}, looked for in {here} and where Python looks. Go to the folder that holds "
        f"{missing.partition('.')[0]}, or type: export PYTHONPATH=folder, or install the package of {name}"
    )


def _object(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise NotFoundError(_no_object(module, found, part))
        found = getattr(found, part)
    return found


def _no_object(module: ModuleType, inside: object, part: str) -> str:
    registries = [name for name, value in vars(module).items() if isinstance(value, ChannelRegistry)]
    if registries:
        return f"{module.__name__} has no {part}, but a registry. Type: {module.__name__}:{registries[0]}"
    public = [name for name in dir(inside) if not name.startswith("_")]
    return f"{module.__name__} has no {part}.{did_you_mean(part, public)} To make one, write there: {_BUILD}"


def _registry(found: Any, place: str) -> ChannelRegistry:
    made = found if isinstance(found, ChannelRegistry) or not _is_function(found) else _called(found, place)
    if isinstance(made, ChannelRegistry):
        return made
    kind = made.__name__ if isinstance(made, type) else type(made).__name__
    raise ConfigurationError(f"{place} is no ChannelRegistry but {kind}:", [f"name one, or make it: {_BUILD}"])


def _is_function(found: object) -> bool:
    """A class is not called: an enum of channels, say, would complain about something else."""
    return callable(found) and not isinstance(found, type)


def _called(make: Callable[[], Any], place: str) -> Any:
    try:
        return make()
    except Exception as error:
        raise ImportFailedError(_failed(f"calling {place} without arguments", error)) from error


def _failed(doing: str, error: Exception) -> str:
    # Our own errors never quote data, and those of an import or a call name what is to be mended.
    return f"{doing} raised {type(error).__name__}: {error}. Mend it, or to see where, add: --debug"
