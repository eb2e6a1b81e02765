"""`domainstream replay`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import click

from domainstream.channel.partitions import MAX_PARTITIONS
from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import BullPrefix, Yes, argument, option
from domainstream.cli.common.durations import Since, StartPoint, entry_id_since
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.errors import ServerError
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.bullmq.order import BullMQOrder, OrderState
from domainstream.queue.job import name_problem
from domainstream.queue.partitions import by_queue, queues_of
from domainstream.stream.state import id_order
from domainstream.subscriber import AGGREGATE, PARTITION_KEY
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import did_you_mean, plural
from domainstream.tools.replay import Replay, ReplayOutcome, replay_events

_RULES: Final = {"aggregate": AGGREGATE, "partition-key": PARTITION_KEY}


def _name(_context: click.Context, option: click.Parameter, value: str) -> str:
    problem = name_problem("job" if option.name == "job" else "queue", value)
    if problem:
        raise click.BadParameter(problem)
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayOptions:
    """The options of `replay`."""

    channel: Annotated[str, argument()]
    """The channel whose events are replayed."""

    since: Annotated[
        StartPoint | None,
        option("--since", type=Since(), help="Start at 2h ago, 2026-01-31T12:00, or an entry id."),
    ]
    """Where to start; None for the oldest entry."""

    until: Annotated[
        StartPoint | None,
        option("--until", type=Since(), help="End at 1h ago, 2026-01-31T13:00, or an entry id; default: now."),
    ]
    """The last entry; None for the newest."""

    event_ids: Annotated[
        tuple[str, ...],
        option("--event", metavar="ID", multiple=True, help="Only the event with this id; may be repeated."),
    ]
    """The ids of the events; empty for all."""

    failed: Annotated[
        bool, option("--failed", is_flag=True, help="Only events whose job has failed: that job is retried.")
    ]
    """Whether the failed jobs of the events are retried instead."""

    queue: Annotated[
        str, option("--to", metavar="QUEUE", required=True, callback=_name, help="The queue that gets the jobs.")
    ]
    """The queue that gets the jobs."""

    job: Annotated[str, option("--job", metavar="NAME", required=True, callback=_name, help="The jobs' name.")]
    """The jobs' name."""

    partitions: Annotated[
        int,
        option(
            "--partitions",
            type=click.IntRange(1, MAX_PARTITIONS),
            default=1,
            show_default=True,
            help="Over how many BullMQ queues the queue is spread, as its subscriptions say.",
        ),
    ]
    """Over how many BullMQ queues it is spread."""

    order_by: Annotated[
        str | None,
        option(
            "--order-by",
            type=click.Choice(list(_RULES)),
            help="Put the jobs among those of their key, as the queue's subscriptions say.",
        ),
    ]
    """By what the jobs of the queue are ordered; None adds them in no order."""

    again: Annotated[
        bool, option("--again", is_flag=True, help="Also events that the queue has a job for: they run again.")
    ]
    """Whether events that the queue has a job for get another one."""

    dry_run: Annotated[bool, option("--dry-run", is_flag=True, help="Only report what would be done.")]
    """Whether nothing is added."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""

    yes: Yes
    """Whether no confirmation is asked for."""


@server_command(ReplayOptions)
async def replay(server: RedisServer, terminal: Terminal, options: ReplayOptions) -> int:
    """Re-enqueue a channel's events as jobs.

    The jobs go to one queue, for a new consumer or after a loss. Choose the events by --since and --until, by --event,
    or by --failed. Consumer groups are not changed.

    Events that the queue still has a job for are skipped, whether it is completed, failed or still to be done; --failed
    retries the failed ones, and --again adds a second job for all. BullMQ removes completed jobs, after an hour by
    default, so an event without a job may have been handled before: the question says how many there are.

    In a queue whose jobs are handled in order, --order-by puts each job before those of its key whose events came
    later, unless they have begun. Without it, the jobs run beside the others.

    Exit code 5: some entries can never become a job, some events are not in the stream, or the server rejected a batch.
    """
    _require_choice(options)
    await server.require_channel(options.channel)
    order = await _order(server, options)
    plan = await _plan(server, options, order)
    inspection = BullMQInspection(server.nodes, bull_prefix=plan.bull_prefix)
    known = await inspection.queues()
    _require_partitions(plan, by_queue(known))
    if not any(inspection.name_of(each) in known for each in queues_of(plan.queue, plan.partitions)):
        terminal.warn(f"The queue {plan.queue} never had a job.{did_you_mean(plan.queue, known)}")
    if order is not None and options.order_by is None and not options.failed:
        terminal.warn(
            f"Jobs of {plan.queue} are handled in order, and these will run beside them. If its subscriptions order by "
            "the aggregate or the partition key, add: --order-by aggregate, or --order-by partition-key"
        )
    # The dry run counts the jobs, so that the question can say how many.
    outcome = _outcome(plan, dry_run=True)
    await replay_events(server.nodes, plan, outcome)
    if plan.event_ids and not outcome.events:
        raise NotFoundError(
            f"the stream of {plan.channel} {server.where} has none of these events: {', '.join(outcome.missing[:3])}. "
            f"Perhaps its retention is over. To find the jobs, run: domainstream trace {outcome.missing[0]}"
        )
    if options.dry_run or not (outcome.added or outcome.retried):
        outcome.dry_run = options.dry_run
        return _report(terminal, outcome, plan)
    confirm(_question(outcome, server.place), yes=options.yes)
    return await _carry_out(server, terminal, plan)


async def _carry_out(server: RedisServer, terminal: Terminal, plan: Replay) -> int:
    """Add the jobs, report how many were added, and return the exit code."""
    outcome = _outcome(plan, dry_run=False)
    try:
        await replay_events(server.nodes, plan, outcome)
    except ServerError as error:
        if not (outcome.added or outcome.retried):
            raise
        terminal.warn(str(error))
        _report(terminal, outcome, plan)
        return exits.PARTIAL
    return _report(terminal, outcome, plan)


def _require_choice(options: ReplayOptions) -> None:
    if options.since is None and not options.event_ids and not options.failed:
        raise click.UsageError("say which events: --since 2h, --event ID, or --failed")
    if options.failed and options.again:
        raise click.UsageError("--failed retries the jobs that failed, and --again adds others: use one of them")
    if options.failed and options.order_by is not None:
        raise click.UsageError("--failed retries jobs where they are, and --order-by is for new ones: use one of them")
    if options.partitions > 1 and options.order_by == "aggregate":
        raise click.UsageError("the jobs of a queue with partitions are ordered by the partition key: use that")


def _require_partitions(plan: Replay, known: Mapping[str, Sequence[str]]) -> None:
    """Raise a usage error if the number of partitions is missing; the server does not know it."""
    if plan.partitions == 1 and plan.queue in known and (last := known[plan.queue][-1]) != plan.queue:
        raise click.UsageError(
            f"{plan.queue} has partitions, such as {last}; add the number that its subscriptions say: --partitions N"
        )


async def _order(server: RedisServer, options: ReplayOptions) -> OrderState | None:
    """Return how the order of the queue is kept; None if it is not. Raises a usage error if there is none to join."""
    queue = queues_of(options.queue, options.partitions)[0]
    order = await BullMQOrder(server.nodes, bull_prefix=options.bull_prefix).state(queue)
    if order is None and options.order_by is not None:
        raise click.UsageError(
            f"no subscriber has kept the jobs of {options.queue} in order yet: leave out --order-by, or start one first"
        )
    return order


async def _plan(server: RedisServer, options: ReplayOptions, order: OrderState | None) -> Replay:
    now = await server.streams.now_ms()
    state = await server.streams.stream(options.channel)
    # Entries that are added meanwhile belong to the groups that read them.
    last = state.last_id if state else "0-0"
    until = last if options.until is None else min(entry_id_since(options.until, now_ms=now), last, key=id_order)
    return Replay(
        channel=options.channel,
        since=entry_id_since(options.since, now_ms=now),
        until=until,
        queue=options.queue,
        job=options.job,
        partitions=options.partitions,
        prefix=server.prefix,
        bull_prefix=options.bull_prefix,
        mark=f"replay-{now}" if options.again else "",
        event_ids=frozenset(options.event_ids),
        only_failed=options.failed,
        order_by=_RULES[options.order_by] if options.order_by else None,
        on_failure=order.on_failure if order else "hold",
    )


def _outcome(plan: Replay, *, dry_run: bool) -> ReplayOutcome:
    return ReplayOutcome(channel=plan.channel, queue=plan.queue, job=plan.job, dry_run=dry_run)


def _question(outcome: ReplayOutcome, place: str) -> str:
    if outcome.retried:
        return f"Retry {plural(outcome.retried, 'failed job')} of {outcome.queue} at {place}?"
    question = f"Add {plural(outcome.added, 'job')} {outcome.job} to the queue {outcome.queue} at {place}?"
    return " ".join([question, *(f"{risk}." for risk in _risks(outcome))])


def _risks(outcome: ReplayOutcome) -> Iterator[str]:
    """Yield what the jobs may do a second time."""
    if outcome.repeated:
        states = _states(outcome, outcome.repeated)
        yield f"{outcome.repeated:,} will be handled again: the queue has their jobs already ({states})"
    if outcome.may_repeat:
        yield (
            f"{outcome.may_repeat:,} may have been handled before: the queue does not have their jobs any more, or "
            "never had them (completed jobs are kept for an hour by default)"
        )


def _states(outcome: ReplayOutcome, jobs: int) -> str:
    to_do = jobs - outcome.completed - outcome.failed
    return f"{outcome.completed:,} completed, {outcome.failed:,} failed, {to_do:,} still to be done"


def _report(terminal: Terminal, outcome: ReplayOutcome, plan: Replay) -> int:
    would, events = "would be" if outcome.dry_run else "were", plural(outcome.events, "event")
    if plan.only_failed:
        lines = [f"{outcome.retried:,} of {events} {would} retried in {outcome.queue}: their jobs had failed"]
    else:
        lines = [f"{outcome.added:,} of {events} {would} added to {outcome.queue} as {outcome.job}", *_risks(outcome)]
    if outcome.known:
        lines.append(f"{outcome.known:,} skipped: the queue has their jobs ({_states(outcome, outcome.known)})")
    if outcome.unreadable:
        lines.append(f"{outcome.unreadable:,} skipped: what is not an event of the channel can never become a job")
    if outcome.missing:
        lines.append(f"{len(outcome.missing):,} not found in the stream: {', '.join(outcome.missing[:3])}")
    terminal.line(outcome, "\n  ".join(lines))
    if outcome.failed and outcome.known:
        terminal.say("To retry the failed jobs of these events, add: --failed")
    return exits.PARTIAL if outcome.unreadable or outcome.missing else exits.OK
