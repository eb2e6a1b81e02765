"""Builds a click command from a coroutine function that works on a server."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any, Final, TypeVar

import click

from domainstream.cli.common.command import command_of, exit_with
from domainstream.cli.common.options import ServerOptions, parameters_of
from domainstream.cli.common.redis_server import RedisServer, open_server
from domainstream.cli.common.signals import run_until_interrupted
from domainstream.cli.common.terminal import Terminal

OptionsT = TypeVar("OptionsT")

LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)
_SHARED: Final = [field.name for field in fields(ServerOptions)]


def server_command(
    options: type[OptionsT],
) -> Callable[[Callable[[RedisServer, Terminal, OptionsT], Awaitable[int | None]]], click.Command]:
    """Make a command that connects to the server and awaits the function with it, a `Terminal` and its `options`.

    Adds `ServerOptions`; the command exits with the code that the function returns.
    """

    def build(work: Callable[[RedisServer, Terminal, OptionsT], Awaitable[int | None]]) -> click.Command:
        def callback(**values: Any) -> None:
            shared = ServerOptions(**{name: values.pop(name) for name in _SHARED})
            given = options(**values)
            log_to_stderr(shared.verbose)
            terminal = Terminal(as_json=shared.as_json, quiet=shared.quiet)

            async def run() -> int | None:
                async with open_server(shared.redis_url, shared.prefix) as server:
                    return await work(server, terminal, given)

            exit_with(lambda: run_until_interrupted(run()), terminal, debug=shared.debug)

        return command_of(work, callback, [*parameters_of(options), *parameters_of(ServerOptions)])

    return build


def log_to_stderr(verbose: int) -> None:
    """Log warnings, with 1 also information, with 2 everything; 0 configures nothing."""
    if verbose:
        logging.basicConfig(format="%(levelname)s %(name)s %(message)s", force=True)
        logging.getLogger("domainstream").setLevel(LEVELS[min(verbose, 2)])
