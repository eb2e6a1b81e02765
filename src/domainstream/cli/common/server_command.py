"""Builds a click command from a coroutine function that works on a server, and connects it to that server."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import click

from domainstream.cli.common.async_command import SharedOptions, async_command
from domainstream.cli.common.command import RedisUrl, StreamPrefix
from domainstream.cli.common.terminal import Terminal
from domainstream.tools.common.server import RedisServer, open_server

__all__ = ["RedisServer", "ServerOptions", "server_command"]

OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions(SharedOptions):
    """The options of every command that connects to a server."""

    redis_url: RedisUrl
    """The server's URL; None if none is configured."""

    prefix: StreamPrefix
    """The prefix of all stream keys."""


def server_command(
    options: type[OptionsT],
) -> Callable[[Callable[[RedisServer, Terminal, OptionsT], Awaitable[int | None]]], click.Command]:
    """Make a command that connects to the server and awaits the function with it, a `Terminal` and its `options`.

    Adds `ServerOptions`; the command exits with the code that the function returns.
    """

    def build(work: Callable[[RedisServer, Terminal, OptionsT], Awaitable[int | None]]) -> click.Command:
        return async_command(work, options, ServerOptions, lambda shared: open_server(shared.redis_url, shared.prefix))

    return build
