"""Makes a program of the object that the target names."""

import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final, Protocol, runtime_checkable

from domainstream.errors import DomainStreamError
from domainstream.text import described
from domainstream.tools.serving.target import TargetError

MAX_STEPS: Final = 5
"""A function may return a function, but not endlessly."""


@runtime_checkable
class Program(Protocol):
    """Something that runs until it is stopped: a subscriber, a worker, or a program of the user."""

    async def run(self) -> None:
        """Run until `stop` is called, and finish the work in progress."""
        ...

    def stop(self) -> None:
        """Let `run` return soon."""
        ...


Build = Callable[[Any], Program | None]
"""Makes a program of an object of the library, such as `Subscriptions`; returns None for any other object."""


async def program_of(target: str, named: Any, build: Build, stack: AsyncExitStack) -> Program:
    """Return the program that `named` is, returns, or yields as an async context manager, which `stack` then closes.

    Raises `TargetError` for anything else, and when a function of the user fails.
    """
    candidate = named
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
        "(`run subscriber`), an EventConsumer (`run worker`), an object with `run` and `stop`, or a function or async "
        "context manager that returns one of these"
    )
