"""`domainstream groups rm`."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Struct

from domainstream.cli.common.command import BullPrefix, Yes, argument, option
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.tools.common.formatting import number
from domainstream.tools.group_removal import RedisGroupRemoval


class RemovalOutcome(Struct, frozen=True, kw_only=True):
    """What was removed, or would be."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    unread: int
    """Entries that were not delivered to it yet."""

    pending: int
    """Entries that were delivered to it and not acknowledged."""

    dry_run: bool
    """Whether nothing was removed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RmOptions:
    """The options of `groups rm`."""

    channel: Annotated[str, argument()]
    """The channel's value."""

    group: Annotated[str, argument()]
    """The group's name."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""

    dry_run: Annotated[bool, option("--dry-run", is_flag=True, help="Only report what would be done.")]
    """Whether nothing is removed."""

    yes: Yes
    """Whether no confirmation is asked for."""


@server_command(RmOptions)
async def rm(server: RedisServer, terminal: Terminal, options: RmOptions) -> None:
    """Remove a group that no subscriber uses any more.

    Its unread entries no longer stay in memory for it: retention removes them once all other groups have read them. The
    entries themselves are not deleted, and those of a channel without another group stay in memory. A subscriber that
    is started with this group later creates it again, and forwards all entries that the stream then holds, also those
    that it had forwarded before.

    Exit code 1: a subscriber reads for the group, or has done so in the last minute.
    """
    channel, group = options.channel, options.group
    (state,) = await server.chosen_groups(channel, group)
    removal = RedisGroupRemoval(server.nodes, prefix=server.prefix, bull_prefix=options.bull_prefix)
    name = await server.groups.stored(channel, group)
    await removal.check(channel, name)
    lost = f"{number(state.unread)} unread and {number(state.pending)} pending entries"
    if not options.dry_run:
        question = f"Remove the group {group} from {channel} at {server.place}? It will never handle its {lost}."
        if len(await server.groups.groups(channel)) == 1:
            question = f"{question} No other group reads the channel, so its entries stay in memory."
        confirm(question, yes=options.yes)
        await removal.remove(channel, name)
    outcome = RemovalOutcome(
        channel=channel, group=group, unread=state.unread, pending=state.pending, dry_run=options.dry_run
    )
    removed = "would be removed" if options.dry_run else "removed"
    terminal.line(outcome, f"{group} {removed} from {channel}, with {lost}")
