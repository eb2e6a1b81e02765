"""`domainstream dead-letters purge`."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import Yes, argument
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.cli.dead_letters.records import (
    AllDeadLetters,
    DeadLetterIds,
    dead_letter_not_found,
    dead_letter_state,
    require_choice,
)
from domainstream.tools.common.formatting import plural


@dataclass(frozen=True, kw_only=True, slots=True)
class PurgeOptions:
    """The options of `dead-letters purge`."""

    channel: Annotated[str, argument()]
    """The channel's value."""

    letter_ids: DeadLetterIds
    """The dead letters to delete."""

    all: AllDeadLetters
    """Whether all of the channel's dead letters are deleted."""

    yes: Yes
    """Whether no confirmation is asked for."""


class PurgeOutcome(Struct, frozen=True, kw_only=True):
    """The result of a purge."""

    channel: str
    """The channel's value."""

    purged: int
    """How many dead letters were deleted."""


@server_command(PurgeOptions)
async def purge(server: RedisServer, terminal: Terminal, options: PurgeOptions) -> int:
    """Delete dead letters permanently.

    Dead letters stored while this waits for confirmation are kept. Exit code 5: some dead letters did not exist.
    """
    channel = options.channel
    require_choice(options.letter_ids, every=options.all)
    state = await dead_letter_state(server, channel)
    if state is None:
        terminal.say(f"{channel} has no dead letters.")
        return exits.OK if options.all else exits.NOT_FOUND
    wanted = list(dict.fromkeys(options.letter_ids))
    count = state.letters if options.all else len(wanted)
    confirm(f"Permanently delete {plural(count, 'dead letter')} of {channel} at {server.place}?", yes=options.yes)
    if options.all:
        purged = await server.dead_letters.purge_until(channel, state.last_id)
    else:
        purged = await server.dead_letters.purge(channel, wanted)
        if not purged:
            raise dead_letter_not_found(server, channel, wanted)
    terminal.line(PurgeOutcome(channel=channel, purged=purged), f"{plural(purged, 'dead letter')} of {channel} deleted")
    if options.all or purged == len(wanted):
        return exits.OK
    terminal.warn(f"{plural(len(wanted) - purged, 'dead letter')} did not exist any more")
    return exits.PARTIAL
