"""`domainstream dead-letters ls`."""

import click

from domainstream.cli.common.formatting import age, moment, number, printable
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.tables import Columns
from domainstream.cli.common.terminal import Terminal
from domainstream.cli.dead_letters.letters import inspection_of, record_of, state_of
from domainstream.stream.state import ms_of

LETTERS: Columns = {
    "letter": lambda one: one.dead_letter_id,
    "buried": lambda one: moment(one.buried_ms),
    "group": lambda one: printable(one.group),
    "entry": lambda one: printable(one.entry_id),
    "error": lambda one: printable(one.error),
    "reason": lambda one: printable(one.reason),
}


@click.command()
@click.argument("channel", required=False)
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="List so many, oldest first.")
@server_command
async def ls(server: RedisServer, terminal: Terminal, *, channel: str | None, count: int) -> None:
    """Count the dead letters of each channel, or list those of one."""
    if channel is None:
        await _all_channels(server, terminal)
        return
    state = await state_of(server, channel)
    if state is None:
        terminal.say(f"{channel} has no dead letters.")
        return
    records = []
    async for letter in inspection_of(server).dead_letters(channel):
        records.append(record_of(letter))
        if len(records) == count:
            break
    terminal.table(records, LETTERS)
    if state.letters > len(records):
        terminal.say(f"{len(records):,} of {state.letters:,} letters; for more, add: --count {state.letters}")


async def _all_channels(server: RedisServer, terminal: Terminal) -> None:
    letters, now = inspection_of(server), await server.streams.now_ms()
    states = [state for channel in await letters.channels() if (state := await letters.state(channel))]
    if not states:
        terminal.say(f"There are no dead letters {server.where}.")
        return
    columns: Columns = {
        "channel": lambda one: printable(one.channel),
        "letters#": lambda one: number(one.letters),
        "oldest": lambda one: age(now - ms_of(one.first_id)),
        "newest": lambda one: age(now - ms_of(one.last_id)),
    }
    terminal.table(states, columns)
