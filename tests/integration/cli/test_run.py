"""`domainstream run`: production processes, from start to every way in which they end."""

import asyncio
import json
import os
import re
import shutil
import signal
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from integration.cli.conftest import Start
from msgspec.structs import replace
from redis.asyncio import Redis
from support.consuming import EVALUATED, PATIENCE, BullJobs, Streams, evaluated, until
from support.metrics import scrape
from support.working import Valuation, job_of

from domainstream.queue import BullMQQueue

ROOT = Path(__file__).parents[3]


async def get(url: str) -> tuple[int, dict[str, Any]]:
    """Ask a health endpoint, and return status and answer."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_subscriber_forwards_until_sigterm(
    start: Start, streams: Streams, redis: Redis, stream_prefix: str
) -> None:
    """Subscriptions become a subscriber that forwards, reports its health, and ends with 0 at SIGTERM."""
    bull = f"{stream_prefix}bull"
    words = ["run_targets:subscriptions", "--bull-prefix", bull, "--health-port", "0", "--log-format", "json"]
    running = await start("subscriber", *words)
    url = json.loads(await running.says("run.health"))["message"].partition("url=")[2]
    await streams.add(evaluated())
    await until(lambda: BullJobs(redis, bull, "valuation").ids())
    status, answer = await get(url)
    assert status == 200
    assert answer["status"] == "ok"
    await until(lambda: _has_forwarded(url))
    running.process.send_signal(signal.SIGTERM)
    assert await running.ends() == 0
    assert await streams.pending(EVALUATED) == 0
    assert {json.loads(line)["level"] for line in running.log} == {"INFO"}


async def _has_forwarded(url: str) -> bool:
    _, answer = await get(url)
    return bool(answer["done"]["forwarded"] == 1)


async def test_worker_finishes_its_running_job(start: Start, redis: Redis, redis_url: str, stream_prefix: str) -> None:
    """An EventConsumer becomes a worker that awaits its running handler at SIGTERM and completes the job."""
    bull = f"{stream_prefix}bull"
    jobs = BullJobs(redis, bull, "valuation")
    await Valuation(redis_url, bull, jobs).add(job_of())
    running = await start("worker", "run_targets:consumer", "--bull-prefix", bull, HANDLING_SECONDS="0.5")
    await running.prints("handling")
    running.process.send_signal(signal.SIGTERM)
    assert await running.ends() == 0
    assert running.output == ["handling", "handled"]
    assert await jobs.ids("completed") == ["event-1"]


async def test_worker_reports_its_figures(start: Start, redis: Redis, redis_url: str, stream_prefix: str) -> None:
    """`/ready` of a worker counts what runs and what has ended, and names the job that failed last."""
    bull = f"{stream_prefix}bull"
    queue = Valuation(redis_url, bull, BullJobs(redis, bull, "valuation"))
    await queue.add(job_of(), job_of(job_id="event-2", data=b"{}"))
    running = await start("worker", "run_targets:consumer", "--bull-prefix", bull, "--health-port", "0")
    url = (await running.says("run.health")).rpartition("url=")[2].partition(" ")[0]
    await running.prints("handled")
    await queue.ended("failed")
    await queue.ended("completed")
    status, answer = await get(url)
    assert status == 200
    assert answer["done"] == {
        "running": 0,
        "completed": 1,
        "delayed": 0,
        "waited": 0,
        "failed": 1,
        "abandoned": 0,
        "last_failure": "price-stay (event-2)",
        "failures": 0,
        "last_error": "",
    }


async def test_worker_serves_its_figures_as_metrics(
    start: Start, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """`/metrics` has the figures of `/ready`, and how long the handler ran and the event took."""
    bull = f"{stream_prefix}bull"
    queue = Valuation(redis_url, bull, BullJobs(redis, bull, "valuation"))
    await queue.add(job_of(evaluated(aggregate_id="a-secret")), job_of(job_id="event-2", data=b"{}"))
    running = await start("worker", "run_targets:consumer", "--bull-prefix", bull, "--health-port", "0")
    url = (await running.says("run.health")).rpartition("url=")[2].partition(" ")[0]
    await queue.ended("failed")
    await queue.ended("completed")
    scraped = await scrape(url)
    assert scraped.value("domainstream_ready", program="EventWorker") == 1
    assert scraped.value("domainstream_worker_completed_total") == 1
    assert scraped.value("domainstream_worker_failed_total") == 1
    handler = {"queue": "valuation", "handler": "price_stay", "outcome": "done"}
    assert scraped.value("domainstream_handler_duration_seconds_count", **handler) == 1
    event = {"queue": "valuation", "event": "OptimizationEvaluated"}
    assert scraped.value("domainstream_publish_to_handled_seconds_count", **event) == 1
    assert "a-secret" not in scraped.text
    assert "event-2" not in scraped.text


async def test_worker_of_partitions_is_one_program(
    start: Start, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """A consumer of a queue with partitions becomes one worker of all of them, whose figures are their sums."""
    bull = f"{stream_prefix}bull"
    queue = BullMQQueue.from_url(redis_url, bull_prefix=bull)
    await queue.add([replace(job_of(), queue=f"billing-p{number}") for number in range(3)])
    await queue.close()
    running = await start("worker", "run_targets:partitioned", "--bull-prefix", bull, "--health-port", "0")
    url = (await running.says("run.health")).rpartition("url=")[2].partition(" ")[0]
    for jobs in [BullJobs(redis, bull, f"billing-p{number}") for number in range(3)]:
        await until(partial(jobs.ids, "completed"))
    status, answer = await get(url)
    assert (status, answer["done"]["completed"]) == (200, 3)
    running.process.send_signal(signal.SIGTERM)
    assert await running.ends() == 0


async def test_program_of_the_guide_is_run(start: Start, tmp_path: Path) -> None:
    """The file that docs/how-to/run-in-production.md adds to the example is what its command runs."""
    page = (ROOT / "docs/how-to/run-in-production.md").read_text(encoding="utf-8")
    (file,) = re.findall(r"needs a file `valuation/program.py`:\n\n  ```python\n(.*?)\n  ```", page, flags=re.DOTALL)
    (line,) = re.findall(r"\$ domainstream run (worker valuation.+)", page)
    example = ROOT / "examples/monorepo"
    shutil.copytree(example / "services/valuation/src/valuation", tmp_path / "valuation")
    (tmp_path / "valuation/program.py").write_text(textwrap.dedent(file), encoding="utf-8")
    folders = [tmp_path, *sorted(example.glob("packages/*/src")), *sorted(example.glob("services/*/src"))]
    running = await start(*line.split(), PYTHONPATH=os.pathsep.join(map(str, folders)))
    assert "program=EventWorker" in await running.says("run.started")
    running.process.send_signal(signal.SIGTERM)
    assert await running.ends() == 0


@pytest.mark.parametrize("name", ["Waiting", "made", "wired"])
async def test_programs_of_the_user_are_run(start: Start, redis_url: str, name: str) -> None:
    """A class, a coroutine function or an async context manager gives a program, and Ctrl-C ends it with 130."""
    running = await start("worker", f"run_targets:{name}")
    assert redis_url in await running.prints("running")
    running.process.send_signal(signal.SIGINT)
    assert await running.ends() == 130
    assert running.output[-1] == ("closed" if name == "wired" else "stopped")


async def test_options_reach_the_environment_of_the_program(start: Start) -> None:
    """`--redis-url` is in the environment of the program."""
    running = await start("worker", "run_targets:Waiting", "--redis-url", "redis://127.0.0.1:1/7")
    assert await running.prints("running") == "running redis://127.0.0.1:1/7"


@pytest.mark.parametrize(("second", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_second_signal_aborts(start: Start, second: signal.Signals, exit_code: int) -> None:
    """A program that does not stop is cancelled at the second signal, which the exit code names."""
    running = await start("worker", "run_targets:Stubborn")
    await running.prints("running")
    running.process.send_signal(signal.SIGTERM)
    await running.says("run.stopping signal=SIGTERM")
    running.process.send_signal(second)
    assert await running.ends() == exit_code


async def test_failing_program_is_reported_without_its_message(start: Start) -> None:
    """A failing program ends with 1 and its error's type; the message may quote data and needs --debug."""
    plain, debug = await start("worker", "run_targets:Failing"), await start("worker", "run_targets:Failing", "--debug")
    assert await plain.ends() == 1
    assert await debug.ends() == 1
    assert "ended with ValueError" in plain.log[-1]
    assert "a-secret" not in "\n".join(plain.log)
    assert "a-secret" in "\n".join(debug.log)


@pytest.mark.parametrize(
    ("target", "exit_code", "words"),
    [
        ("nowhere:app", 4, "there is no module nowhere"),
        ("run_targets:subscription", 4, "Did you mean subscriptions"),
        ("run_targets:number", 1, "is of type int, which cannot be run"),
        ("run_targets:consumer", 1, "is of type EventConsumer, which cannot be run"),
        ("run_targets:broken", 1, "failed before it could run: KeyError"),
        ("run_targets", 2, "is not MODULE:OBJECT"),
    ],
)
async def test_object_that_cannot_be_run_is_reported(start: Start, target: str, exit_code: int, words: str) -> None:
    """An object that cannot be run ends with an exit code and a message that say why."""
    running = await start("subscriber", target)
    assert await running.ends() == exit_code
    assert words in "\n".join(running.log)


async def test_missing_url_is_reported(start: Start) -> None:
    """Subscriptions without a URL end with 3."""
    running = await start("subscriber", "run_targets:subscriptions", REDIS_URL="")
    assert await running.ends() == 3
    assert "export REDIS_URL" in running.log[-1]


async def test_unreachable_server_is_waited_for(start: Start) -> None:
    """A subscriber without its server keeps running, and is live but not ready."""
    words = ["run_targets:subscriptions", "--health-port", "0", "--redis-url", "redis://:a-secret@127.0.0.1:1"]
    running = await start("subscriber", *words)
    url = (await running.says("run.health")).rpartition("url=")[2].partition(" ")[0]
    await running.says("subscriber.retried")
    status, answer = await get(url)
    assert status == 503
    assert answer["status"] == "failing"
    assert "127.0.0.1:1 does not answer" in answer["reason"]
    assert (await get(url.replace("/ready", "/live")))[0] == 200
    assert (await get(url.replace("/ready", "/nothing")))[0] == 404
    assert (await scrape(url)).value("domainstream_ready", program="RedisBullMQStreamSubscriber") == 0
    running.process.send_signal(signal.SIGTERM)
    assert await running.ends() == 0
    assert "a-secret" not in "\n".join(running.log)


async def test_taken_port_is_reported(start: Start) -> None:
    """A taken health port ends with 1 and names the option to change."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        running = await start("worker", "run_targets:Waiting", "--health-port", str(port))
        assert await running.ends() == 1
    assert "choose another: --health-port" in running.log[-1]
