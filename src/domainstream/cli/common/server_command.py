"""Makes a click command of a coroutine function that looks at a server."""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

import click

from domainstream.cli.common.exit_handling import end_well
from domainstream.cli.common.options import output_options, server_options
from domainstream.cli.common.signals import run_until_interrupted
from domainstream.cli.common.terminal import Terminal

LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)

Work = Callable[..., Awaitable[int | None]]


def server_command(work: Work) -> Callable[..., None]:
    """Call `work` with a `RedisServer`, a `Terminal` and its own options, and exit with the code it returns."""

    @wraps(work)
    def command(
        redis_url: str | None, prefix: str, *, as_json: bool, quiet: bool, verbose: int, debug: bool, **own: Any
    ) -> None:
        log_to_stderr(verbose)
        terminal = Terminal(as_json=as_json, quiet=quiet)

        async def run() -> int | None:
            from domainstream.cli.common.redis_server import open_server  # noqa: PLC0415 - `--help` needs no client

            async with open_server(redis_url, prefix) as server:
                return await work(server, terminal, **own)

        click.get_current_context().exit(
            end_well(lambda: run_until_interrupted(run(), terminal), terminal, debug=debug)
        )

    return server_options(output_options(command))


def log_to_stderr(verbose: int) -> None:
    """Log warnings, with 1 information as well, with 2 everything."""
    if verbose:
        logging.basicConfig(format="%(levelname)s %(name)s %(message)s", force=True)
        logging.getLogger("domainstream").setLevel(LEVELS[min(verbose, 2)])
