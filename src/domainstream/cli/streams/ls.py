"""`domainstream streams ls`."""

import click

from domainstream.cli.common.formatting import age, number, printable
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.tables import Columns
from domainstream.cli.common.terminal import Terminal
from domainstream.stream.state import ms_of


@click.command()
@server_command
async def ls(server: RedisServer, terminal: Terminal) -> None:
    """List the channels that have a stream.

    These are the streams below the prefix whose name after it has no ":".
    """
    names, now = await server.streams.channels(), await server.streams.now_ms()
    states = [state for name in names if (state := await server.streams.stream(name))]
    if not states:
        terminal.say(f"There are no streams {server.where}.")
        return
    columns: Columns = {
        "channel": lambda one: printable(one.channel),
        "entries#": lambda one: number(one.length),
        "ever added#": lambda one: number(one.added),
        "groups#": lambda one: number(one.groups),
        "oldest": lambda one: age(now - ms_of(one.first_id) if one.first_id else None),
        "newest": lambda one: age(now - ms_of(one.last_id) if one.length else None),
    }
    terminal.table(states, columns)
