"""`domainstream outbox retry`."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Struct

from domainstream.cli.common.command import argument
from domainstream.cli.common.database_command import database_command, next_command
from domainstream.cli.common.terminal import Terminal
from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import plural


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryOptions:
    """The options of `outbox retry`."""

    channels: Annotated[tuple[str, ...], argument(nargs=-1, metavar="[CHANNEL]...")]
    """The held channels; empty for all."""


class RetryOutcome(Struct, frozen=True, kw_only=True):
    """The result of a retry."""

    channels: list[str]
    """The held channels that will be tried at once."""

    is_relay_active: bool
    """Whether a relay is there to try them."""


@database_command(RetryOptions)
async def retry(database: OutboxDatabase, terminal: Terminal, options: RetryOptions) -> None:
    """Try held channels again at once.

    Fix the cause first. Without names, all held channels are tried, by the active relay in its next turn. Their events
    keep their order.
    """
    state = await database.inspection.status()
    known = [each.channel for each in state.held]
    for channel in options.channels:
        if channel not in known:
            where = f"in {state.table}"
            raise NotFoundError.of("held channel", channel, known, where=where, look=next_command("status"))
    chosen = await database.repair.retry(options.channels)
    if not chosen:
        terminal.say(f"No channel of {state.table} is held.")
        return
    outcome = RetryOutcome(channels=chosen, is_relay_active=state.relay.is_active)
    terminal.line(outcome, f"{plural(len(chosen), 'held channel')} will be tried at once: {', '.join(chosen)}")
    if not state.relay.is_active:
        terminal.warn("No relay is active; start one: domainstream run relay MODULE:OBJECT")
    else:
        terminal.say(f"To see the result, run: {next_command('status')}")
