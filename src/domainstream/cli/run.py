"""`domainstream run subscriber`, `domainstream run worker` and `domainstream run relay`."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import click

from domainstream.cli import LAST_STEPS
from domainstream.cli.common.command import (
    BullPrefix,
    DatabaseUrl,
    Debug,
    RedisUrl,
    StreamPrefix,
    argument,
    local_command,
    option,
)
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import ServerNotFoundError
from domainstream.tools.serving.program import Build, Program

COMMANDS: Final = {
    "subscriber": LazyCommand("domainstream.cli.run:subscriber", "Forward the events of streams to queues."),
    "worker": LazyCommand("domainstream.cli.run:worker", "Handle the jobs of a queue."),
    "relay": LazyCommand("domainstream.cli.run:relay", "Publish the events that an outbox stores."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def run() -> None:
    """Run a subscriber, a worker or a relay until SIGTERM or Ctrl-C.

    Work in progress is finished first.
    """


class Target(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """`MODULE:OBJECT`, as `shop.subscriptions:subscriptions`."""

    name = "module:object"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, or fail with an example."""
        module, _, name = str(value).partition(":")
        if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
            self.fail(f"{value!r} is not MODULE:OBJECT, as in shop.subscriptions:subscriptions", param, ctx)
        return str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """The options of all `run` commands."""

    target: Annotated[str, argument(metavar="MODULE:OBJECT", type=Target())]
    """The object to run."""

    redis_url: RedisUrl
    """The server's URL; None if none is configured."""

    prefix: StreamPrefix
    """The prefix of all stream keys."""

    app_dir: Annotated[
        Path,
        option(
            "--app-dir",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            default=".",
            help="The folder to import from.",
        ),
    ]
    """The folder to import from."""

    log_format: Annotated[
        str, option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
    ]
    """`text` or `json`."""

    health_port: Annotated[
        int | None,
        option("--health-port", type=click.IntRange(0, 65535), help="Serve GET /live, /ready and /metrics here."),
    ]
    """The port of the health endpoint; None for no endpoint."""

    health_host: Annotated[
        str, option("--health-host", default="127.0.0.1", show_default=True, help="The endpoint's address.")
    ]
    """The address of the health endpoint."""

    quiet: Annotated[bool, option("-q", "--quiet", is_flag=True, help="Log only warnings and errors.")]
    """Whether only warnings and errors are logged."""

    verbose: Annotated[
        int, option("-v", "--verbose", count=True, help="Log more; -vv also logs other libraries' information.")
    ]
    """How much is logged."""

    debug: Debug
    """Whether an error shows its traceback."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriberOptions(RunOptions):
    """The options of `run subscriber`."""

    group: Annotated[
        str, option("--group", default="domain-events", show_default=True, help="The consumer group on every stream.")
    ]
    """The consumer group on every stream."""

    consumer: Annotated[
        str | None,
        option(
            "--consumer",
            envvar="DOMAINSTREAM_CONSUMER",
            show_envvar=True,
            help="What to call this instance; default: its host name.",
        ),
    ]
    """What people call this instance; None for its host name."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions(RunOptions):
    """The options of `run worker`."""

    concurrency: Annotated[
        int,
        option(
            "--concurrency",
            type=click.IntRange(min=1),
            default=50,
            show_default=True,
            help="How many jobs run at once.",
        ),
    ]
    """How many jobs run at once."""

    grace: Annotated[
        timedelta,
        option(
            "--grace", type=Duration(), default="30s", show_default=True, help="Time for running handlers to finish."
        ),
    ]
    """The time that running handlers have to finish."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayOptions(RunOptions):
    """The options of `run relay`."""

    database_url: DatabaseUrl
    """The database's URL; None if none is configured."""

    archive: Annotated[
        bool, option("--archive", is_flag=True, help="Move published rows to the archive, for `outbox replay`.")
    ]
    """Whether published rows are moved to the archive."""


@local_command(SubscriberOptions)
def subscriber(_terminal: Terminal, options: SubscriberOptions) -> int:
    """Forward the events of streams to queues.

    OBJECT is Subscriptions, a program with `run` and `stop`, or a function or async context manager that returns one.
    It runs until SIGTERM or Ctrl-C.

    Exit codes: 0 after SIGTERM, 130 after Ctrl-C; a second signal aborts it.
    """
    from domainstream.subscriber import RedisBullMQStreamSubscriber, Subscriptions

    def build(named: Any) -> Program | None:
        if not isinstance(named, Subscriptions):
            return None
        return RedisBullMQStreamSubscriber.from_url(
            _url(options),
            group=options.group,
            subscriptions=named,
            consumer=options.consumer,
            prefix=options.prefix,
            bull_prefix=options.bull_prefix,
        )

    return _serve(options, build)


@local_command(WorkerOptions)
def worker(_terminal: Terminal, options: WorkerOptions) -> int:
    """Handle the jobs of a queue.

    OBJECT is an EventConsumer, a program with `run` and `stop`, or a function or async context manager that returns
    one. It runs until SIGTERM or Ctrl-C.

    Exit codes: 0 after SIGTERM, 130 after Ctrl-C; a second signal aborts it.
    """
    from domainstream.tools.metrics.handling import RECORDER
    from domainstream.worker import EventConsumer, EventWorker

    def build(named: Any) -> Program | None:
        if not isinstance(named, EventConsumer):
            return None
        if options.health_port is not None:
            RECORDER.record(named)
        return EventWorker.from_url(
            _url(options),
            named,
            concurrency=options.concurrency,
            grace=options.grace,
            bull_prefix=options.bull_prefix,
        )

    return _serve(options, build)


@local_command(RelayOptions)
def relay(_terminal: Terminal, options: RelayOptions) -> int:
    """Publish the events that an outbox stores.

    OBJECT is an Outbox, a program with `run` and `stop`, or a function or async context manager that returns one. It
    runs until SIGTERM or Ctrl-C, and then lets another relay take over at once. Any number may run: one is active, the
    others stand by.

    Exit codes: 0 after SIGTERM, 130 after Ctrl-C; a second signal aborts it.
    """
    from domainstream.bootstrap.relay import database_of
    from domainstream.outbox import Outbox, OutboxRelay, RelaySettings

    def build(named: Any) -> Program | None:
        if not isinstance(named, Outbox):
            return None
        return OutboxRelay.from_url(
            _url(options),
            database_url=database_of(options.database_url),
            table=named.table,
            prefix=options.prefix,
            settings=RelaySettings(archive=options.archive),
        )

    return _serve(options, build, database_url=options.database_url)


def _url(options: RunOptions) -> str:
    if not options.redis_url:
        raise ServerNotFoundError("no server is configured; run: export REDIS_URL=redis://localhost:6379")
    return options.redis_url


def _serve(options: RunOptions, build: Build, *, database_url: str | None = None) -> int:
    from domainstream.tools.serving.exit_deadline import exit_despite_leftovers
    from domainstream.tools.serving.logs import set_up_logs
    from domainstream.tools.serving.serving import Serving, run_until_stopped

    set_up_logs(as_json=options.log_format == "json", quiet=options.quiet, verbose=options.verbose)
    serving = Serving(
        target=options.target,
        folder=options.app_dir.resolve(),
        redis_url=options.redis_url,
        prefix=options.prefix,
        database_url=database_url,
        health_port=options.health_port,
        health_host=options.health_host,
    )
    LAST_STEPS.append(exit_despite_leftovers)
    return run_until_stopped(serving, build)
