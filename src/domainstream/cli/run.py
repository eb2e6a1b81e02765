"""`domainstream run subscriber` and `domainstream run worker`."""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from domainstream.bootstrap import PREFIX_VARIABLE, URL_VARIABLE
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.exit_handling import end_well
from domainstream.cli.common.options import bull_prefix_option, server_options
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import ServerNotFoundError
from domainstream.subscriber import RedisBullMQStreamSubscriber, Subscriptions
from domainstream.tools.serving.logs import set_up_logs
from domainstream.tools.serving.program import Build, Program
from domainstream.tools.serving.serving import Serving, serve
from domainstream.tools.serving.target import Target
from domainstream.worker import EventConsumer, EventWorker

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_SHARED: Final = (
    click.argument("target", metavar="MODULE:OBJECT", type=Target()),
    server_options,
    bull_prefix_option,
    click.option(
        "--app-dir",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=".",
        help="Import from here.",
    ),
    click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True),
    click.option("--health-port", type=click.IntRange(0, 65535), help="Answer GET /live and /ready there."),
    click.option("--health-host", default="127.0.0.1", show_default=True, help="On this address."),
    click.option("-q", "--quiet", is_flag=True, help="Log warnings and errors alone."),
    click.option("-v", "--verbose", count=True, help="Log more; -vv also what others log."),
    click.option("--debug", is_flag=True, help="Show a traceback with an error."),
)


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_SHARED):
        command = option(command)
    return command


@click.command()
@_shared
@click.option("--group", default="domain-events", show_default=True, help="The consumer group on every stream.")
@click.option("--consumer", envvar="DOMAINSTREAM_CONSUMER", show_envvar=True, help="This instance; its host's name.")
def subscriber(*, group: str, consumer: str | None, **shared: Any) -> None:
    """Deliver the events of streams to queues, until SIGTERM or Ctrl-C.

    OBJECT is Subscriptions, a program with `run` and `stop`, or a function or async context manager that gives one.

    Exit codes: 0 after SIGTERM, 130 after Ctrl-C; a second signal cuts it off.
    """

    def build(found: Any) -> Program | None:
        if not isinstance(found, Subscriptions):
            return None
        url, prefix, bull = _url(shared), shared["prefix"], shared["bull_prefix"]
        return RedisBullMQStreamSubscriber.from_url(
            url, group=group, subscriptions=found, consumer=consumer, prefix=prefix, bull_prefix=bull
        )

    _run(build, **shared)


@click.command()
@_shared
@click.option("--concurrency", type=click.IntRange(min=1), default=50, show_default=True, help="Jobs at a time.")
@click.option("--grace", type=Duration(), default="30s", show_default=True, help="How long handlers may finish.")
def worker(*, concurrency: int, grace: timedelta, **shared: Any) -> None:
    """Handle the jobs of a queue, until SIGTERM or Ctrl-C.

    OBJECT is an EventConsumer, a program with `run` and `stop`, or a function or async context manager that gives one.

    Exit codes: 0 after SIGTERM, 130 after Ctrl-C; a second signal cuts it off.
    """

    def build(found: Any) -> Program | None:
        if not isinstance(found, EventConsumer):
            return None
        bull = shared["bull_prefix"]
        return EventWorker.from_url(_url(shared), found, concurrency=concurrency, grace=grace, bull_prefix=bull)

    _run(build, **shared)


def _url(shared: dict[str, Any]) -> str:
    if not shared["redis_url"]:
        raise ServerNotFoundError(f"no server is configured; run: export {URL_VARIABLE}=redis://localhost:6379")
    return str(shared["redis_url"])


def _run(build: Build, *, target: str, quiet: bool, verbose: int, debug: bool, **shared: Any) -> None:
    set_up_logs(as_json=shared["log_format"] == "json", quiet=quiet, verbose=verbose)
    # What OBJECT opens itself goes to the same server.
    for variable, value in ((URL_VARIABLE, shared["redis_url"]), (PREFIX_VARIABLE, shared["prefix"])):
        if value:
            os.environ[variable] = value
    serving = Serving(
        target=target,
        folder=shared["app_dir"].resolve(),
        redis_url=shared["redis_url"],
        health_port=shared["health_port"],
        health_host=shared["health_host"],
    )
    code = end_well(lambda: asyncio.run(serve(serving, build)), Terminal(), debug=debug)
    click.get_current_context().exit(code)
