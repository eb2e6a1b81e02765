"""What the commands on dead letters share: the inspection, and which letters are meant."""

import re
from collections.abc import Sequence
from typing import Any

import click
from msgspec import Struct

from domainstream.cli.common.errors import NotFoundError
from domainstream.cli.common.payload_output import Content, content_of
from domainstream.cli.common.redis_server import RedisServer
from domainstream.stream import StoredDeadLetter
from domainstream.stream.dead_letters.inspection import DeadLetterState, RedisDeadLetterInspection
from domainstream.stream.state import ms_of


class LetterRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A letter as `--json` writes it."""

    channel: str
    """The channel's value."""

    dead_letter_id: str
    """The letter's own id."""

    buried_ms: int
    """When it was buried, in milliseconds since 1970."""

    group: str
    """The group that could make no job of it."""

    entry_id: str
    """The entry it came in."""

    error: str
    """The name of the error's class."""

    reason: str
    """The error's message."""

    has_data: bool
    """Whether the entry had the field `data`, without which it cannot be redriven."""

    data: Any = None
    """The entry's data, where it was asked for and is JSON."""

    data_base64: str | None = None
    """The same, where it is no JSON."""


def record_of(buried: StoredDeadLetter, *, with_data: bool = False) -> LetterRecord:
    """Return what is written of a letter."""
    delivery = buried.dead_letter.delivery
    content = content_of(delivery.data) if with_data else Content()
    return LetterRecord(
        channel=delivery.channel,
        dead_letter_id=buried.dead_letter_id,
        buried_ms=ms_of(buried.dead_letter_id),
        group=buried.group,
        entry_id=delivery.entry_id,
        error=buried.dead_letter.error,
        reason=buried.dead_letter.reason,
        has_data=delivery.data is not None,
        data=content.data,
        data_base64=content.data_base64,
    )


def inspection_of(server: RedisServer) -> RedisDeadLetterInspection:
    """Return the inspection of the server's dead letters."""
    return RedisDeadLetterInspection(server.client, prefix=server.prefix)


async def state_of(server: RedisServer, channel: str) -> DeadLetterState | None:
    """Return how many letters a channel has, or None; raise `NotFoundError` for a channel that never had an entry."""
    letters = inspection_of(server)
    state = await letters.state(channel)
    if state is None:
        known = await letters.channels()
        if channel not in known:
            await server.require_channel(channel, *known)
    return state


def letter_not_found(server: RedisServer, channel: str, dead_letter_id: str) -> NotFoundError:
    """Return the error for a letter that is not there (any more)."""
    look = f"domainstream dead-letters ls {channel}"
    return NotFoundError.of("letter", dead_letter_id, (), where=f"of {channel} {server.where}", look=look)


class LetterId(click.ParamType):  # type: ignore[type-arg]  # it takes a type since click 8.4 alone
    """An id as `dead-letters ls` prints it."""

    name = "dead_letter_id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the id, or fail with where to find one."""
        if not re.fullmatch(r"[0-9]{1,20}-[0-9]{1,20}", value):
            self.fail(f"{value!r} is no letter's id; see: domainstream dead-letters ls CHANNEL", param, ctx)
        return str(value)


def require_choice(dead_letter_ids: Sequence[str], *, every: bool) -> None:
    """Fail unless either letters are named or all are meant."""
    if bool(dead_letter_ids) == every:
        raise click.UsageError("name the letters that you mean, or add: --all")
