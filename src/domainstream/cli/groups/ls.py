"""`domainstream groups ls`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from domainstream.cli.common.command import argument, option
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.tools.common.formatting import NONE, age, number

GROUPS: Final[Columns] = {
    "channel": lambda state: state.channel,
    "group": lambda state: state.group,
    "lag#": lambda state: number(state.lag),
    "unread#": lambda state: number(state.unread),
    "pending#": lambda state: number(state.pending),
    "lost#": lambda state: number(state.lost),
    "oldest": lambda state: age(state.oldest_ms),
    "consumers#": lambda state: number(state.consumers),
}
CONSUMERS: Final[Columns] = {
    "channel": lambda state: state.channel,
    "group": lambda state: state.group,
    "consumer": lambda state: state.consumer,
    "pending#": lambda state: number(state.pending),
    "idle": lambda state: age(state.idle_ms),
    "instance": lambda state: state.owner or NONE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LsOptions:
    """The options of `groups ls`."""

    channel: Annotated[str | None, argument(required=False)]
    """The channel; None for all."""

    consumers: Annotated[bool, option("--consumers", is_flag=True, help="List the consumers of each group instead.")]
    """Whether consumers are listed instead of groups."""


@server_command(LsOptions)
async def ls(server: RedisServer, terminal: Terminal, options: LsOptions) -> None:
    """Show the progress of each consumer group.

    With CHANNEL, only the groups on that channel.

    \b
    unread   entries not delivered yet
    pending  entries delivered but not acknowledged
    lag      unread and pending entries together
    lost     entries removed from the stream before the group read them
    oldest   how long the oldest entry of the lag has been waiting

    Subscribers read as the consumer `domainstream`; --consumers shows which instance does so now.
    """  # noqa: D301 - click's mark for a paragraph whose lines it must not rewrap
    if options.consumers:
        channels = await server.chosen_channels(options.channel)
        consumers = [consumer for channel in channels for consumer in await server.groups.consumers(channel)]
        _show(server, terminal, consumers, "consumers", CONSUMERS)
    else:
        _show(server, terminal, await server.chosen_groups(options.channel), "groups", GROUPS)


def _show(server: RedisServer, terminal: Terminal, states: Sequence[Any], noun: str, columns: Columns) -> None:
    if states:
        terminal.table(states, columns)
    else:
        terminal.say(f"There are no {noun} {server.where}.")
