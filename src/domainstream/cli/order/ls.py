"""`domainstream order ls`."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import click

from domainstream.cli.common.command import option
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.cli.order.choice import QueueChoice, open_order
from domainstream.queue.bullmq.order import HeldKey
from domainstream.tools.common.formatting import NONE, age, number, plural
from domainstream.tools.traces import error_type


@dataclass(frozen=True, kw_only=True, slots=True)
class LsOptions(QueueChoice):
    """The options of `order ls`."""

    count: Annotated[
        int, option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="List this many.")
    ]
    """How many keys are listed."""


@server_command(LsOptions)
async def ls(server: RedisServer, terminal: Terminal, options: LsOptions) -> None:
    """List the keys that a failed job holds, with the jobs that wait behind it.

    The key that has been held for the longest time comes first. A key is held where the subscription says so, with
    on_failure="hold", until its failed job is retried, skipped or removed.
    """
    order, queues = await open_order(server, options)
    states = [state for queue in queues if (state := await order.state(queue))]
    if not states:
        terminal.say(f"No jobs of {options.queue} are handled in order.")
        return
    oldest, held, waiting = list[HeldKey](), 0, 0
    for queue in queues:
        last = deque[HeldKey](maxlen=options.count)  # they come with the last first
        async for key in order.held(queue):
            last.append(key)
            held += 1
            waiting += key.waiting
        oldest += last
    oldest.sort(key=lambda key: key.since_ms)
    if held:
        columns = _columns(await server.streams.now_ms())
        if len(queues) == 1:
            del columns["queue"]
        terminal.table(oldest[: options.count], columns)
        more = f"; for more, add: --count {held}" if held > options.count else ""
        terminal.say(f"{plural(held, 'held key')}, {plural(waiting, 'job')} behind the failed ones{more}")
        terminal.say(f"To go on once the cause is fixed, run: domainstream order retry {options.queue} KEY")
    elif all(state.on_failure == "skip" for state in states):
        terminal.say(f"No key of {options.queue} is held: its jobs go on behind one that has failed.")
    else:
        jobs = plural(sum(state.waiting for state in states), "job")
        terminal.say(f"No key of {options.queue} is held; {jobs} wait for the one before.")


def _columns(now: int) -> dict[str, Callable[[HeldKey], str]]:
    return {
        "queue": lambda key: key.queue,
        "key": lambda key: key.key,
        "waiting#": lambda key: number(key.waiting),
        "failed job": lambda key: key.job_id,
        "job": lambda key: key.name,
        "error": lambda key: error_type(key.reason) or NONE,
        "since": lambda key: age(now - key.since_ms),
    }
