"""`domainstream streams repartition`."""

from dataclasses import dataclass
from typing import Annotated

import click
from msgspec import Struct

from domainstream.channel.partitions import MAX_PARTITIONS
from domainstream.cli.common.command import Yes, argument, option
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.tools.repartition import RedisRepartition


class RepartitionOutcome(Struct, frozen=True, kw_only=True):
    """What was changed, or would be."""

    channel: str
    """The channel's value."""

    before: int
    """The number of partitions that it had."""

    after: int
    """The number that it has now."""

    dry_run: bool
    """Whether nothing was changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RepartitionOptions:
    """The options of `streams repartition`."""

    channel: Annotated[str, argument()]
    """The channel's value."""

    partitions: Annotated[int, argument(type=click.IntRange(1, MAX_PARTITIONS))]
    """The new number of partitions."""

    dry_run: Annotated[bool, option("--dry-run", is_flag=True, help="Only report what would be done.")]
    """Whether nothing is changed."""

    yes: Yes
    """Whether no confirmation is asked for."""


@server_command(RepartitionOptions)
async def repartition(server: RedisServer, terminal: Terminal, options: RepartitionOptions) -> None:
    """Spread a channel over another number of streams.

    Publishers with the old number are rejected from then on. Streams that the new number does not have are removed with
    their entries, which all groups have read by then. docs/how-to/partition-a-channel.md has the whole procedure.

    Exit code 1: entries are unread or not acknowledged, or a stream that would go has dead letters.
    """
    channel = options.channel
    tool = RedisRepartition(server.nodes, prefix=server.prefix)
    change = await tool.plan(channel, options.partitions)
    if change.written == "1":
        await server.require_channel(channel)
    outcome = RepartitionOutcome(channel=channel, before=change.before, after=change.after, dry_run=options.dry_run)
    if change.written == str(change.after):
        terminal.line(outcome, f"{channel} has {change.after} partitions already")
        return
    if not options.dry_run:
        confirm(
            f"Change {channel} at {server.place} from {change.before} to {change.after} partitions? Its publishers and "
            "subscribers must be deployed with the new number.",
            yes=options.yes,
        )
        await tool.apply(change)
    changed = "would be changed" if options.dry_run else "changed"
    terminal.line(outcome, f"{channel} {changed} from {change.before} to {change.after} partitions")
