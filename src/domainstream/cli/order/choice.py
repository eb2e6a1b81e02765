"""What the commands on the order of jobs share: the queue, and the choice of keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import click

from domainstream.cli.common.command import BullPrefix, Yes, argument, option
from domainstream.cli.common.server_command import RedisServer
from domainstream.cli.jobs.choice import chosen_queues
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.bullmq.order import BullMQOrder
from domainstream.tools.common.errors import NotFoundError

NAMED: Final = 3
"""How many of the keys that do not exist an error names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueChoice:
    """The queue."""

    queue: Annotated[str, argument()]
    """The queue."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyChoice(QueueChoice):
    """The options that choose keys of a queue, for commands that change something."""

    keys: Annotated[tuple[str, ...], argument(nargs=-1, metavar="[KEY]...")]
    """The keys; empty for all."""

    all: Annotated[bool, option("--all", is_flag=True, help="All keys of the queue.")]
    """Whether all keys are meant."""

    dry_run: Annotated[bool, option("--dry-run", is_flag=True, help="Only report what would be done.")]
    """Whether nothing is changed."""

    yes: Yes
    """Whether no confirmation is asked for."""


async def open_order(server: RedisServer, choice: QueueChoice) -> tuple[BullMQOrder, Sequence[str]]:
    """Return the order of the queues, and the BullMQ queues that are meant; raise `NotFoundError` if there is none."""
    inspection = BullMQInspection(server.nodes, bull_prefix=choice.bull_prefix)
    queues = await chosen_queues(server, inspection, choice.queue, choice.bull_prefix)
    return BullMQOrder(server.nodes, bull_prefix=choice.bull_prefix), queues


def named_keys(choice: KeyChoice) -> list[str]:
    """Return the named keys, each once; raise a usage error unless either keys or all of them are chosen."""
    if bool(choice.keys) == choice.all:
        raise click.UsageError("name the keys, or add: --all")
    return list(dict.fromkeys(choice.keys))


def key_not_found(server: RedisServer, choice: KeyChoice, what: str, keys: list[str]) -> NotFoundError:
    """Return the error about keys that the queue does not have."""
    where, look = f"in {choice.queue} at {server.place}", f"domainstream order ls {choice.queue}"
    return NotFoundError.of(what, ", ".join(keys[:NAMED]), (), where=where, look=look)
