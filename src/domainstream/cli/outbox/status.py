"""`domainstream outbox status`."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import option
from domainstream.cli.common.database_command import database_command, next_command
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.terminal import Terminal
from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.outbox.sql.inspection import HeldState, OpenWriter, OutboxStatus, RelayState
from domainstream.tools.common.formatting import NONE, age, number, plural

CHANNELS: Final = 10
"""Channels that are listed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusOptions:
    """The options of `outbox status`."""

    max_age: Annotated[
        timedelta | None,
        option(
            "--max-age",
            "--max-oldest",
            type=Duration(default_unit="s"),
            help="Exit with code 1 if an event waits for longer: 60 (seconds), 5m, 2h.",
        ),
    ]
    """How long an event may wait; None for no limit."""

    rate_over: Annotated[
        timedelta,
        option(
            "--rate-over",
            type=Duration(),
            default="1s",
            show_default=True,
            help="Look twice, this far apart, for the rate; 0s looks once.",
        ),
    ]
    """The time between the two looks that the rate comes from; zero for one look."""


class Rate(Struct, frozen=True, kw_only=True):
    """What happened between two looks, in rows per second."""

    published: float
    """Rows that were published."""

    growth: float | None
    """By how much the backlog grew; negative when it shrank, None where it is an estimate."""


@database_command(StatusOptions)
async def status(database: OutboxDatabase, terminal: Terminal, options: StatusOptions) -> int:
    """Show the backlog, the active relay, and what makes events wait.

    A backlog of more than 100,000 rows is an estimate. The rate comes from two looks. A writer is a transaction in
    PostgreSQL that has been open for more than a second: what it stored is published once it is committed.

    Exit code 1: an event has been waiting for longer than --max-age, or a channel is held.
    """
    state, rate = await database.inspection.status(), None
    if options.rate_over:
        before = state
        await asyncio.sleep(options.rate_over.total_seconds())
        state = await database.inspection.status()
        rate = _rate(before, state)
    record = {"place": database.place, **msgspec.structs.asdict(state), "rate": rate}
    terminal.facts(record, _shown(state, rate, database.place), wrap=True)
    problems = [*_problems(state, options.max_age)]
    for problem in problems:
        terminal.warn(problem)
    return exits.FAILED if problems else exits.OK


def _rate(before: OutboxStatus, after: OutboxStatus) -> Rate | None:
    seconds = (after.time_ms - before.time_ms) / 1000
    if seconds <= 0:
        return None
    growth = None if before.is_estimate or after.is_estimate else (after.backlog - before.backlog) / seconds
    return Rate(published=(after.relay.published - before.relay.published) / seconds, growth=growth)


def _problems(state: OutboxStatus, max_age: timedelta | None) -> Iterator[str]:
    limit_ms = None if max_age is None else round(max_age.total_seconds() * 1000)
    if limit_ms is not None and state.oldest_ms is not None and state.oldest_ms > limit_ms:
        yield f"The oldest event of {state.table} has been waiting for {age(state.oldest_ms)} (limit {age(limit_ms)})."
    if state.held:
        held = f"{plural(len(state.held), 'channel')} of {state.table} {'is' if len(state.held) == 1 else 'are'} held"
        yield f"{held}. Once the cause is fixed, run: {next_command('retry')}"


def _shown(state: OutboxStatus, rate: Rate | None, place: str) -> dict[str, str | list[str]]:
    about = "about " if state.is_estimate else ""
    oldest = f", the oldest has been waiting for {age(state.oldest_ms)}" if state.backlog else ""
    largest = sorted(state.channels.items(), key=lambda each: -each[1])
    left_out = len(largest) - CHANNELS
    return {
        "outbox": f"{state.table} at {place}",
        "backlog": [
            f"{about}{plural(state.backlog, 'event')}{oldest}",
            *(f"{number(rows)} of {channel}" for channel, rows in largest[:CHANNELS] if not state.is_estimate),
            *([f"and {plural(left_out, 'more channel')}"] if left_out > 0 and not state.is_estimate else []),
        ],
        "rate": NONE if rate is None else _rate_words(rate),
        "relay": _relay_words(state.relay),
        "held": [_held_words(each, at_least=state.is_estimate) for each in state.held] or NONE,
        **({} if state.dead_tuples is None else _shown_of_postgresql(state)),
    }


def _shown_of_postgresql(state: OutboxStatus) -> dict[str, str | list[str]]:
    """Return what cannot be seen in SQLite."""
    return {
        "writers": [_writer_words(each) for each in state.writers] or NONE,
        "dead tuples": number(state.dead_tuples),
    }


def _rate_words(rate: Rate) -> str:
    words = f"{rate.published:,.0f} published/s"
    if rate.growth is None or abs(rate.growth) < 1:
        return words
    return f"{words}, the backlog {'grows' if rate.growth > 0 else 'shrinks'} by {abs(rate.growth):,.0f}/s"


def _relay_words(relay: RelayState) -> str:
    if relay.is_active:
        lease = f"lease ends in {age(relay.lease_ms)}"
        return f"{relay.owner}, epoch {relay.epoch}, {lease}, {number(relay.published)} published in all"
    last = f" (the last one had epoch {relay.epoch})" if relay.epoch else ""
    return f"none is active{last}; start one: domainstream run relay MODULE:OBJECT"


def _held_words(held: HeldState, *, at_least: bool) -> str:
    rows = f"{'at least ' if at_least else ''}{plural(held.rows, 'event')}"
    following = f"in {age(held.retry_ms)}" if held.retry_ms > 0 else "now"
    return (
        f"{held.channel}: {rows} held for {age(held.since_ms)}, {plural(held.attempts, 'attempt')}, "
        f"the next {following}: {held.reason}"
    )


def _writer_words(writer: OpenWriter) -> str:
    who = f"prepared transaction {writer.prepared}" if writer.pid is None else f"pid {writer.pid}"
    known = ", ".join(filter(None, (writer.user, writer.application, writer.address)))
    state = writer.state or "state unknown: seeing it needs pg_read_all_stats"
    lock = "" if writer.lock == "RowExclusiveLock" else f", with {writer.lock}"
    return f"{who}{f' ({known})' if known else ''}: {state}, open for {age(writer.open_ms)}{lock}"
