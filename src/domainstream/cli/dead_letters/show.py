"""`domainstream dead-letters show`."""

from dataclasses import dataclass
from typing import Annotated, Final

from domainstream.cli.common.command import argument
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, data_lines
from domainstream.cli.dead_letters.records import (
    DeadLetterId,
    dead_letter_not_found,
    dead_letter_state,
    record_of,
)
from domainstream.tools.common.formatting import moment

LONGEST: Final = 500
"""How many characters of each other field are shown; `--json` has all that was kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowOptions:
    """The options of `dead-letters show`."""

    channel: Annotated[str, argument()]
    """The channel's value."""

    letter_id: Annotated[str, argument(type=DeadLetterId())]
    """The id of the dead letter."""


@server_command(ShowOptions)
async def show(server: RedisServer, terminal: Terminal, options: ShowOptions) -> None:
    """Show a dead letter with the data and the other fields of its entry."""
    await dead_letter_state(server, options.channel)
    stored = await server.dead_letters.dead_letter(options.channel, options.letter_id)
    if stored is None:
        raise dead_letter_not_found(server, options.channel, [options.letter_id])
    record = record_of(stored, with_data=True)
    facts: dict[str, str | list[str]] = {
        "letter": record.letter_id,
        "channel": record.channel,
        "buried": moment(record.buried_ms),
        "group": record.group,
        "entry": record.entry_id,
        "error": record.error,
        "reason": record.reason,
        "data": data_lines(stored.dead_letter.delivery.data),
    }
    if stored.dead_letter.delivery.other:
        fields = [
            f"{name}: {value[:LONGEST]}{' ...' * (len(value) > LONGEST)}" for name, value in record.fields.items()
        ]
        left_out = [f"{record.left_out:,} more bytes were not kept"] if record.left_out else []
        facts["fields"] = [*fields, *left_out]
    terminal.facts(record, facts)
