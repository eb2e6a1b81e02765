"""`domainstream dead-letters ls`."""

from dataclasses import dataclass
from typing import Annotated

import click

from domainstream.cli.common.command import argument, option
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.cli.dead_letters.records import dead_letter_state, record_of
from domainstream.stream.state import ms_of
from domainstream.tools.common.formatting import age, moment, number

DEAD_LETTERS: Columns = {
    "letter": lambda record: record.letter_id,
    "buried": lambda record: moment(record.buried_ms),
    "group": lambda record: record.group,
    "entry": lambda record: record.entry_id,
    "error": lambda record: record.error,
    "reason": lambda record: record.reason,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LsOptions:
    """The options of `dead-letters ls`."""

    channel: Annotated[str | None, argument(required=False)]
    """The channel; None counts those of all channels."""

    count: Annotated[
        int,
        option(
            "--count", type=click.IntRange(min=1), default=100, show_default=True, help="List this many, oldest first."
        ),
    ]
    """How many dead letters are listed."""


@server_command(LsOptions)
async def ls(server: RedisServer, terminal: Terminal, options: LsOptions) -> None:
    """Count the dead letters of each channel, or list those of one."""
    channel = options.channel
    if channel is None:
        await _count_all(server, terminal)
        return
    state = await dead_letter_state(server, channel)
    if state is None:
        terminal.say(f"{channel} has no dead letters.")
        return
    records = []
    async for stored in server.dead_letters.dead_letters(channel):
        records.append(record_of(stored))
        if len(records) == options.count:
            break
    terminal.table(records, DEAD_LETTERS)
    if state.letters > len(records):
        terminal.say(f"{len(records):,} of {state.letters:,} dead letters; for more, add: --count {state.letters}")


async def _count_all(server: RedisServer, terminal: Terminal) -> None:
    inspection, now = server.dead_letters, await server.streams.now_ms()
    states = [state for channel in await inspection.channels() if (state := await inspection.state(channel))]
    if not states:
        terminal.say(f"There are no dead letters {server.where}.")
        return
    columns: Columns = {
        "channel": lambda state: state.channel,
        "letters#": lambda state: number(state.letters),
        "oldest": lambda state: age(now - ms_of(state.first_id)),
        "newest": lambda state: age(now - ms_of(state.last_id)),
    }
    terminal.table(states, columns)
