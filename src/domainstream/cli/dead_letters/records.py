"""What the commands on dead letters share: the record, its lookup, and the choice of dead letters."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import click
from msgspec import Struct

from domainstream.cli.common.command import argument, option
from domainstream.cli.common.server_command import RedisServer
from domainstream.cli.common.terminal import data_fields
from domainstream.stream import StoredDeadLetter
from domainstream.stream.dead_letters import DeadLetterState
from domainstream.stream.port import Fields
from domainstream.stream.state import ms_of
from domainstream.tools.common.errors import NotFoundError


class DeadLetterId(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """An id as `dead-letters ls` prints it."""

    name = "letter_id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the id, or fail with the command that lists ids."""
        if not re.fullmatch(r"[0-9]{1,20}-[0-9]{1,20}", value):
            self.fail(
                f"{value!r} is not the id of a dead letter; run: domainstream dead-letters ls CHANNEL", param, ctx
            )
        return str(value)


DeadLetterIds = Annotated[tuple[str, ...], argument(nargs=-1, metavar="[LETTER_ID]...", type=DeadLetterId())]
AllDeadLetters = Annotated[bool, option("--all", is_flag=True, help="All dead letters that the channel has now.")]


class DeadLetterRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dead letter as `--json` writes it."""

    channel: str
    """The channel's value."""

    letter_id: str
    """The dead letter's own id."""

    buried_ms: int
    """When it was stored, in milliseconds since 1970."""

    group: str
    """The group whose subscriber could not make a job of it."""

    entry_id: str
    """The id of the stream entry."""

    error: str
    """The name of the error's class."""

    reason: str
    """The error's message."""

    has_data: bool
    """Whether the entry had the field `data`, without which it cannot be redriven."""

    data: Any = None
    """The entry's data, if it was asked for and is JSON."""

    data_base64: str | None = None
    """The entry's data, if it was asked for and is not JSON."""

    fields: dict[str, str] = {}
    """The entry's other fields, if they were asked for, by name; bytes that are not UTF-8 are escaped."""

    left_out: int = 0
    """How many bytes of the other fields were not kept, because they were too many."""


def record_of(stored: StoredDeadLetter, *, with_data: bool = False) -> DeadLetterRecord:
    """Return the record of a dead letter."""
    delivery = stored.dead_letter.delivery
    return DeadLetterRecord(
        channel=delivery.channel,
        letter_id=stored.dead_letter_id,
        buried_ms=ms_of(stored.dead_letter_id),
        group=stored.group,
        entry_id=delivery.entry_id,
        error=stored.dead_letter.error,
        reason=stored.dead_letter.reason,
        has_data=delivery.data is not None,
        fields=dict(other_fields(delivery.other)) if with_data else {},
        left_out=stored.left_out,
        **(data_fields(delivery.data) if with_data else {}),
    )


def other_fields(other: Fields) -> list[tuple[str, str]]:
    """Return names and values of an entry's other fields as text; bytes that are not UTF-8 are escaped."""
    return [
        (name.decode("utf-8", "backslashreplace"), value.decode("utf-8", "backslashreplace")) for name, value in other
    ]


async def dead_letter_state(server: RedisServer, channel: str) -> DeadLetterState | None:
    """Return the state of a channel's dead letters; None if there are none.

    Raises `NotFoundError` for a channel that never had an entry.
    """
    state = await server.dead_letters.state(channel)
    if state is None:
        known = await server.dead_letters.channels()
        if channel not in known:
            await server.require_channel(channel, *known)
    return state


def dead_letter_not_found(server: RedisServer, channel: str, letter_ids: Sequence[str]) -> NotFoundError:
    """Return the error for dead letters that do not exist (any more)."""
    look = f"domainstream dead-letters ls {channel}"
    where = f"of {channel} {server.where}"
    return NotFoundError.of("dead letter", ", ".join(letter_ids[:3]), (), where=where, look=look)


def require_choice(letter_ids: Sequence[str], *, every: bool) -> None:
    """Fail unless either ids or `--all` are given, and not both."""
    if bool(letter_ids) == every:
        raise click.UsageError("name the dead letters, or add: --all")
