"""Makes a program of the object that was named."""

import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final, Protocol, runtime_checkable

from domainstream.errors import DomainStreamError
from domainstream.tools.serving.target import TargetError

STEPS: Final = 5
"""A function may return a function, but not for ever."""


@runtime_checkable
class Program(Protocol):
    """Something that runs until it is stopped: subscribers, workers, and what you write yourself."""

    async def run(self) -> None:
        """Run until `stop`, and finish what is in hand."""
        ...

    def stop(self) -> None:
        """Let `run` return soon."""
        ...


Build = Callable[[Any], Program | None]
"""Makes a program of an object of ours, as `Subscriptions`; None for any other."""


async def program_of(target: str, found: Any, build: Build, stack: AsyncExitStack) -> Program:
    """Return the program that `found` is, returns, or gives as an async context manager, which `stack` then closes.

    Raises `TargetError` for anything else, and when a function of the user fails.
    """
    one = found
    for _ in range(STEPS):
        built = build(one)
        if built is not None:
            one = built
        if isinstance(one, Program) and not inspect.isclass(one):
            return await _entered(one, stack)
        one = await _step(target, one, stack)
    raise _unfit(target, one)


async def _step(target: str, one: Any, stack: AsyncExitStack) -> Any:
    """Return what comes out of a function, an awaitable or an async context manager."""
    try:
        if hasattr(one, "__aenter__") and not inspect.isclass(one):
            return await stack.enter_async_context(one)
        if inspect.isawaitable(one):
            return await one
        if callable(one):
            return one()
    except DomainStreamError:
        raise
    except Exception as error:  # a user's function may do anything
        words = f"{target} failed before it could run: {type(error).__name__}: {error}"
        raise TargetError(f"{words}. To see where, add: --debug") from error
    raise _unfit(target, one)


async def _entered(program: Program, stack: AsyncExitStack) -> Program:
    if hasattr(program, "__aenter__"):
        await stack.enter_async_context(program)  # type: ignore[arg-type]  # it has both methods, as ours have
    return program


def _unfit(target: str, one: Any) -> TargetError:
    return TargetError(
        f"{target} is of type {type(one).__name__}, which cannot be run here; name Subscriptions (`run subscriber`), "
        "an EventConsumer (`run worker`), something with `run` and `stop`, or a function or async context manager that "
        "gives one of these"
    )
