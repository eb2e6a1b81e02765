"""`domainstream streams ls`."""

from domainstream.cli.common.command import NoOptions
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.stream.state import ms_of
from domainstream.tools.common.formatting import age, number


@server_command(NoOptions)
async def ls(server: RedisServer, terminal: Terminal, _options: NoOptions) -> None:
    """List the channels that have a stream.

    These are the keys below the prefix whose name after it contains no ":".
    """
    names, now = await server.streams.channels(), await server.streams.now_ms()
    states = [state for name in names if (state := await server.streams.stream(name))]
    if not states:
        terminal.say(f"There are no streams {server.where}.")
        return
    columns: Columns = {
        "channel": lambda state: state.channel,
        "entries#": lambda state: number(state.length),
        "ever added#": lambda state: number(state.added),
        "groups#": lambda state: number(state.groups),
        "oldest": lambda state: age(now - ms_of(state.first_id) if state.first_id else None),
        "newest": lambda state: age(now - ms_of(state.last_id) if state.length else None),
    }
    terminal.table(states, columns)
