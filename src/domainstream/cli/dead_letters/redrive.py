"""`domainstream dead-letters redrive`."""

from collections.abc import Sequence
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
from domainstream.errors import ServerError
from domainstream.stream import RedisDeadLetterRedrive
from domainstream.stream.state import id_order
from domainstream.tools.common.formatting import plural


@dataclass(frozen=True, kw_only=True, slots=True)
class RedriveOptions:
    """The options of `dead-letters redrive`."""

    channel: Annotated[str, argument()]
    """The channel's value."""

    letter_ids: DeadLetterIds
    """The dead letters to redrive."""

    all: AllDeadLetters
    """Whether all of the channel's dead letters are redriven."""

    yes: Yes
    """Whether no confirmation is asked for."""


class RedriveOutcome(Struct, frozen=True, kw_only=True):
    """The result of a redrive."""

    channel: str
    """The channel's value."""

    entry_ids: list[str]
    """The new entries."""

    without_data: list[str]
    """Dead letters that were kept, because their entry had no field `data`."""

    gone: list[str]
    """Dead letters that did not exist (any more)."""


@server_command(RedriveOptions)
async def redrive(server: RedisServer, terminal: Terminal, options: RedriveOptions) -> int:
    """Put dead letters back into their stream.

    Fix the cause first. Every group of the stream reads the new entries, also groups that could handle the old ones.
    Dead letters stored while this runs are kept. Exit code 5: some were not put back.
    """
    channel = options.channel
    require_choice(options.letter_ids, every=options.all)
    state = await dead_letter_state(server, channel)
    if state is None:
        terminal.say(f"{channel} has no dead letters.")
        return exits.OK if options.all else exits.NOT_FOUND
    wanted = list(dict.fromkeys(options.letter_ids))
    if options.all:
        # Entries that are dead-lettered again meanwhile must not be redriven forever.
        last = id_order(state.last_id)
        stored_ids = [stored.dead_letter_id async for stored in server.dead_letters.dead_letters(channel)]
        wanted = [letter_id for letter_id in stored_ids if id_order(letter_id) <= last]
    confirm(f"Put {plural(len(wanted), 'dead letter')} back into {channel} at {server.place}?", yes=options.yes)
    outcome = RedriveOutcome(channel=channel, entry_ids=[], without_data=[], gone=[])
    try:
        await _redrive(server, wanted, outcome)
    except ServerError as error:
        if not outcome.entry_ids:
            raise
        terminal.warn(f"{error}; to continue, run the same command again")
    if not options.all and outcome.gone == wanted:
        raise dead_letter_not_found(server, channel, wanted)
    _report(terminal, outcome)
    return exits.OK if len(outcome.entry_ids) == len(wanted) else exits.PARTIAL


async def _redrive(server: RedisServer, letter_ids: Sequence[str], outcome: RedriveOutcome) -> None:
    """Put dead letters back one by one; `outcome` is updated after each, so it is correct after an error."""
    redriver = RedisDeadLetterRedrive(server.nodes, prefix=server.prefix)
    for letter_id in letter_ids:
        redriven = await redriver.redrive(outcome.channel, dead_letter_id=letter_id)
        outcome.entry_ids.extend(redriven.entry_ids)
        outcome.without_data.extend(redriven.without_data)
        if not redriven.entry_ids and not redriven.without_data:
            outcome.gone.append(letter_id)


def _report(terminal: Terminal, outcome: RedriveOutcome) -> None:
    kept, gone = outcome.without_data, outcome.gone
    terminal.line(outcome, f"{plural(len(outcome.entry_ids), 'dead letter')} put back into {outcome.channel}")
    if kept:
        terminal.warn(
            f"{plural(len(kept), 'dead letter')} kept: without the field `data` there is nothing to put back. "
            f"To delete them, run: domainstream dead-letters purge {outcome.channel} "
            f"{' '.join(kept[:3])}{' ...' if len(kept) > 3 else ''}"
        )
    if gone:
        terminal.warn(f"{plural(len(gone), 'dead letter')} did not exist any more: {', '.join(gone[:3])}")
