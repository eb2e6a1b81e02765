"""`domainstream dead-letters show`."""

import click

from domainstream.cli.common.formatting import moment, printable
from domainstream.cli.common.payload_output import pretty_lines
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.cli.dead_letters.letters import LetterId, inspection_of, letter_not_found, record_of, state_of


@click.command()
@click.argument("channel")
@click.argument("dead_letter_id", type=LetterId())
@server_command
async def show(server: RedisServer, terminal: Terminal, *, channel: str, dead_letter_id: str) -> None:
    """Show a dead letter, with the data of its entry."""
    await state_of(server, channel)
    letter = await inspection_of(server).dead_letter(channel, dead_letter_id)
    if letter is None:
        raise letter_not_found(server, channel, dead_letter_id)
    record = record_of(letter, with_data=True)
    facts = {
        "letter": dead_letter_id,
        "channel": channel,
        "buried": moment(record.buried_ms),
        "group": printable(record.group),
        "entry": printable(record.entry_id),
        "error": printable(record.error),
        "reason": printable(record.reason),
        "data": "\n        ".join(pretty_lines(letter.dead_letter.delivery.data)),
    }
    terminal.facts(record, facts)
