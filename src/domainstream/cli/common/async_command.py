"""Builds a click command from a coroutine function that works on something opened for it, until Ctrl-C or SIGTERM."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar

import click

from domainstream.cli.common.command import Debug, command_of, option, parameters_of
from domainstream.cli.common.exit_codes import exit_code_from
from domainstream.cli.common.terminal import Terminal
from domainstream.tools.signals import Interrupts

OptionsT = TypeVar("OptionsT")
TargetT = TypeVar("TargetT")


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedOptions:
    """The options of every such command; a subclass adds those that say what to open."""

    as_json: Annotated[bool, option("--json", is_flag=True, help="Write data as JSON, one object per line.")]
    """Whether data is written as JSON."""

    quiet: Annotated[bool, option("-q", "--quiet", is_flag=True, help="Print only data and errors.")]
    """Whether only data and errors are printed."""

    verbose: Annotated[int, option("-v", "--verbose", count=True, help="Log to stderr; -vv logs more.")]
    """How much is logged to stderr."""

    debug: Debug
    """Whether an error shows its traceback."""


SharedT = TypeVar("SharedT", bound=SharedOptions)


def async_command(
    work: Callable[[TargetT, Terminal, OptionsT], Awaitable[int | None]],
    options: type[OptionsT],
    shared: type[SharedT],
    open_target: Callable[[SharedT], AbstractAsyncContextManager[TargetT]],
) -> click.Command:
    """Make a command that opens its target, awaits `work` with it, and exits with the code that it returns."""
    shared_names = [field.name for field in fields(shared)]

    def callback(**values: Any) -> None:
        common = shared(**{name: values.pop(name) for name in shared_names})
        given = options(**values)
        if common.verbose:
            logging.basicConfig(format="%(levelname)s %(name)s %(message)s", force=True)
            logging.getLogger("domainstream").setLevel(logging.DEBUG if common.verbose > 1 else logging.INFO)
        terminal = Terminal(as_json=common.as_json, quiet=common.quiet)

        async def run() -> int | None:
            async with open_target(common) as target:
                return await work(target, terminal, given)

        code = exit_code_from(lambda: asyncio.run(_until_interrupted(run())), terminal, debug=common.debug)
        click.get_current_context().exit(code)

    common_names = [field.name for field in fields(SharedOptions)]
    in_order = sorted(parameters_of(shared), key=lambda parameter: parameter.name in common_names)
    return command_of(work, callback, [*parameters_of(options), *in_order])


async def _until_interrupted(work: Coroutine[Any, Any, int | None]) -> int | None:
    """Return the result of `work`; raise `InterruptedRunError` when Ctrl-C or SIGTERM ended it, whatever it awaited.

    asyncio's own handling of Ctrl-C cancels only once, which redis-py swallows when it is about to send a command.
    """
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread receives signals.
        return await work
    return await Interrupts().guard(work)
