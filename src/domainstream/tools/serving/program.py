"""Imports the object that `MODULE:OBJECT` names, and makes a program of it."""

import inspect
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from domainstream.errors import DomainStreamError
from domainstream.text import described
from domainstream.tools.common.errors import NotFoundError

MAX_STEPS: Final = 5
"""A function may return a function, but not endlessly."""


class TargetError(DomainStreamError):
    """The target could not be imported, created or run; the cause says where."""


@runtime_checkable
class Program(Protocol):
    """Something that runs until it is stopped: a subscriber, a worker, a relay, or a program of the user."""

    async def run(self) -> None:
        """Run until `stop` is called, and finish the work in progress."""
        ...

    def stop(self) -> None:
        """Let `run` return soon."""
        ...


Build = Callable[[Any], Program | None]
"""Makes a program of an object of the library, such as `Subscriptions`; returns None for any other object."""


async def open_program(target: str, folder: Path, build: Build, stack: AsyncExitStack) -> Program:
    """Return the program that `target` names, or that what it names returns or yields.

    Modules are imported from `folder` or from what is installed; `stack` closes async context managers. Raises
    `NotFoundError` if the object does not exist, `TargetError` if it is something else or the user's code fails.
    """
    candidate = _load(target, folder)
    for _ in range(MAX_STEPS):
        built = build(candidate)
        if built is not None:
            candidate = built
        if isinstance(candidate, Program) and not inspect.isclass(candidate):
            if hasattr(candidate, "__aenter__"):
                await stack.enter_async_context(candidate)  # type: ignore[arg-type]  # ours have both methods
            return candidate
        candidate = await _step(target, candidate, stack)
    raise _unfit(target, candidate)


def _load(target: str, folder: Path) -> Any:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module, _, name = target.partition(":")
    try:
        named: Any = import_module(module)
    except Exception as error:  # a user's module may do anything
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            fix = "install it, or name the folder that contains it with: --app-dir"
            raise NotFoundError(f"there is no module {error.name}, also not in {folder}; {fix}") from None
        raise TargetError(f"importing {module} failed: {described(error)}. To see where, add: --debug") from error
    for part in name.split("."):
        if not hasattr(named, part):
            known = [attribute for attribute in dir(named) if not attribute.startswith("_")]
            look = f"{Path(sys.executable).name} -c 'import {module}; print(dir({module}))'"
            raise NotFoundError.of("object", part, known, where=f"in {module}", look=look)
        named = getattr(named, part)
    return named


async def _step(target: str, candidate: Any, stack: AsyncExitStack) -> Any:
    """Return the result of a function, an awaitable or an async context manager."""
    try:
        if hasattr(candidate, "__aenter__") and not inspect.isclass(candidate):
            return await stack.enter_async_context(candidate)
        if inspect.isawaitable(candidate):
            return await candidate
        if callable(candidate):
            return candidate()
    except DomainStreamError:
        raise
    except Exception as error:  # a user's function may do anything
        reason = f"{target} failed before it could run: {described(error)}"
        raise TargetError(f"{reason}. To see where, add: --debug") from error
    raise _unfit(target, candidate)


def _unfit(target: str, candidate: Any) -> TargetError:
    return TargetError(
        f"{target} is of type {type(candidate).__name__}, which cannot be run here; name Subscriptions "
        "(`run subscriber`), an EventConsumer (`run worker`), an Outbox (`run relay`), an object with `run` and "
        "`stop`, or a function or async context manager that returns one of these"
    )
