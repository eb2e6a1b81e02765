"""`domainstream jobs`: whoever is on call finds out why jobs failed, and retries or removes exactly those."""

from datetime import timedelta

import pytest
from integration.cli.conftest import Type, records
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from support.consuming import OptimizationEvaluated, evaluated, running
from support.working import Valuation, job_of

from domainstream.queue import JobSettings
from domainstream.worker import EventContext, GiveUp

ONE_ATTEMPT = JobSettings(attempts=1)
LATER = JobSettings(attempts=2, backoff=timedelta(hours=1), jitter=0)


def without_price(stay: str) -> None:
    """Fail as a handler's own code does."""
    raise KeyError(stay)


async def fail(event: OptimizationEvaluated, context: EventContext) -> None:
    """Give up events of one aggregate, and fail all others."""
    if event.aggregate_id == "given-up":
        raise GiveUp("no such tariff")
    without_price(event.aggregate_id)


@pytest.fixture
async def failed(valuation: Valuation) -> list[str]:
    """Four failed jobs: three for one cause, one for another; their ids."""
    ids = [f"event-{number}" for number in range(4)]
    aggregates = ["stay-1", "stay-2", "stay-3", "given-up"]
    events = [evaluated(aggregate_id=aggregate) for aggregate in aggregates]
    pairs = zip(events, ids, strict=True)
    await valuation.add(*[job_of(event, job_id=job_id, settings=ONE_ATTEMPT) for event, job_id in pairs])
    async with running(valuation.worker(fail)):
        await valuation.ended("failed", 4)
    return ids


async def test_failures_are_grouped_by_cause(typed: Type, bull: str, failed: list[str]) -> None:
    """Each cause is one line, with its error, the line of the user's own code, the count, and an example."""
    first, second = records(await typed("jobs", "ls", "valuation", "--json", "--bull-prefix", bull))
    assert (first["jobs"], first["error"], first["job"]) == (3, "KeyError", "price-stay")
    assert first["where"].endswith("in without_price")
    assert first["example"] in failed[:3]
    assert first["first_ms"] <= first["last_ms"]
    assert (second["jobs"], second["error"]) == (1, "GiveUp")


async def test_jobs_that_wait_for_another_attempt_are_listed_too(typed: Type, bull: str, valuation: Valuation) -> None:
    """A handler that fails since this morning is seen before its jobs have failed permanently."""
    await valuation.add(job_of(settings=LATER))
    async with running(valuation.worker(fail)):
        await valuation.ended("delayed")
    (group,) = records(await typed("jobs", "ls", "valuation", "--json", "--bull-prefix", bull))
    assert (group["state"], group["error"], group["jobs"]) == ("delayed", "KeyError", 1)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--error", "KeyError"], 3),
        (["--error", "ValueError"], 0),
        (["--key", "stay-2"], 1),
        (["--job", "price-stay"], 4),
        (["--job", "another"], 0),
        (["--since", "1h"], 4),
        (["--state", "waiting"], 0),
        (["--state", "all", "--key", "given-up"], 1),
    ],
)
async def test_options_choose_jobs(typed: Type, bull: str, failed: list[str], options: list[str], count: int) -> None:
    """Jobs are chosen by error, name, aggregate, time and state, and listed one by one with --each."""
    result = await typed("jobs", "ls", "valuation", "--each", "--json", "--bull-prefix", bull, *options)
    assert len(records(result)) == count


async def test_list_shows_neither_payload_nor_reason(typed: Type, bull: str, failed: list[str]) -> None:
    """Payloads may be confidential, and messages of exceptions may quote them; `show` shows both where asked to."""
    result = await typed("jobs", "ls", "valuation", "--each", "--bull-prefix", bull)
    assert failed[0] in result.stdout
    assert "specversion" not in result.stdout
    assert "no such tariff" not in result.stdout


async def test_job_is_shown_with_its_event_its_failures_and_what_follows(
    typed: Type, bull: str, failed: list[str]
) -> None:
    """One page says what the job is about, why it failed and where, and the command that retries it."""
    result = await typed("jobs", "show", "valuation", failed[0], "--bull-prefix", bull)
    assert result.exit_code == 0
    assert "stay-1" in result.stdout
    assert "1 of 1" in result.stdout
    assert "KeyError: 'stay-1'" in result.stdout
    assert f"{__file__}:" in result.stdout
    assert "prepared_call.py" not in result.stdout
    assert f"domainstream jobs retry valuation {failed[0]}" in result.stdout


async def test_whole_trace_is_in_the_json(typed: Type, bull: str, failed: list[str]) -> None:
    """A program gets the trace as it is stored, the data as JSON, and when the job ended."""
    (job,) = records(await typed("jobs", "show", "valuation", failed[0], "--json", "--bull-prefix", bull))
    assert "prepared_call.py" in job["traces"][0]
    assert job["data"]["subject"] == "stay-1"
    assert job["reason"]


async def test_job_about_to_begin_says_when(typed: Type, bull: str, valuation: Valuation) -> None:
    """A delayed job shows when it begins, and the command that does not wait."""
    await valuation.add(job_of(settings=LATER))
    async with running(valuation.worker(fail)):
        await valuation.ended("delayed")
    result = await typed("jobs", "show", "valuation", "event-1", "--bull-prefix", bull)
    assert "it begins in 59 min" in result.stdout
    assert "domainstream jobs retry valuation event-1 --state delayed" in result.stdout


@pytest.mark.parametrize("words", [["show", "valuation", "event-9"], ["retry", "valuation", "event-9", "-y"]])
async def test_missing_job_is_not_found(typed: Type, bull: str, failed: list[str], words: list[str]) -> None:
    """A job that does not exist ends the command with 4 and the command that lists jobs."""
    result = await typed("jobs", *words, "--bull-prefix", bull)
    assert result.exit_code == 4
    assert "domainstream jobs ls valuation" in result.stderr


async def test_missing_queue_suggests_a_similar_one(typed: Type, bull: str, failed: list[str]) -> None:
    """A misspelled queue is not found, and a similar one is suggested."""
    result = await typed("jobs", "ls", "valuatoin", "--bull-prefix", bull)
    assert result.exit_code == 4
    assert "Did you mean valuation?" in result.stderr


async def test_chosen_failures_are_retried(typed: Type, bull: str, failed: list[str], valuation: Valuation) -> None:
    """Only the jobs of the chosen cause are retried, and they are handled."""
    result = await typed("jobs", "retry", "valuation", "--error", "KeyError", "--yes", "--bull-prefix", bull)
    assert result.exit_code == 0
    assert result.stdout == "3 of 3 failed jobs of valuation retried\n"
    handled: list[str] = []

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.append(event.aggregate_id)

    async with running(valuation.worker(handle)):
        await valuation.ended("completed", 3)
    assert sorted(handled) == ["stay-1", "stay-2", "stay-3"]
    assert await valuation.jobs.ids("failed") == [failed[3]]


async def test_delayed_jobs_begin_at_once(typed: Type, bull: str, valuation: Valuation) -> None:
    """After an outage, jobs need not wait for their pauses."""
    await valuation.add(job_of(settings=LATER))
    async with running(valuation.worker(fail)):
        await valuation.ended("delayed")
    words = ("jobs", "retry", "valuation", "--state", "delayed", "--all", "--yes", "--bull-prefix", bull)
    assert "1 of 1 delayed job" in (await typed(*words)).stdout
    assert await valuation.jobs.ids("wait") == ["event-1"]


async def test_dry_run_changes_nothing(typed: Type, bull: str, failed: list[str], valuation: Valuation) -> None:
    """`--dry-run` counts the chosen jobs, asks nothing and changes nothing."""
    (outcome,) = records(await typed("jobs", "rm", "valuation", "--all", "--dry-run", "--json", "--bull-prefix", bull))
    assert (outcome["chosen"], outcome["changed"], outcome["dry_run"]) == (4, 0, True)
    assert len(await valuation.jobs.ids("failed")) == 4


@pytest.mark.parametrize(
    "options", [[], ["--all", "--error", "KeyError"], ["event-0", "--all"], ["event-0", "--key", "stay-1"]]
)
async def test_choice_must_be_clear(
    typed: Type, bull: str, failed: list[str], valuation: Valuation, options: list[str]
) -> None:
    """Without a choice, or with two ways to choose, nothing is deleted."""
    result = await typed("jobs", "rm", "valuation", *options, "--yes", "--bull-prefix", bull)
    assert result.exit_code == 2
    assert len(await valuation.jobs.ids("failed")) == 4


async def test_repair_asks_first(typed: Type, bull: str, failed: list[str], valuation: Valuation) -> None:
    """Without --yes and without a terminal, the command says how many jobs it would delete, and stops."""
    result = await typed("jobs", "rm", "valuation", "--all", "--bull-prefix", bull)
    assert result.exit_code == 2
    assert "Permanently delete 4 failed jobs of valuation" in result.stderr
    assert len(await valuation.jobs.ids("failed")) == 4


async def test_chosen_jobs_are_removed(typed: Type, bull: str, failed: list[str], valuation: Valuation) -> None:
    """The named job is deleted, and no other."""
    result = await typed("jobs", "rm", "valuation", failed[3], "--yes", "--bull-prefix", bull)
    assert result.exit_code == 0
    assert sorted(await valuation.jobs.ids("failed")) == sorted(failed[:3])


async def test_job_that_is_retried_while_the_question_waits_is_not_removed(
    typed: Type, bull: str, failed: list[str], valuation: Valuation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else retries a job between the choice and the answer: it stays, and the command says so."""

    def confirm(*_: object, **__: object) -> None:
        with BlockingRedis.from_url(valuation.url) as redis:
            redis.zrem(f"{valuation.jobs.key}:failed", failed[0])
            redis.lpush(f"{valuation.jobs.key}:wait", failed[0])

    monkeypatch.setattr("domainstream.cli.jobs.repair.confirm", confirm)
    result = await typed("jobs", "rm", "valuation", "--all", "--bull-prefix", bull)
    assert result.exit_code == 0
    assert "1 job had changed their state meanwhile" in result.stderr
    assert await valuation.jobs.ids("failed") == []
    assert await valuation.jobs.ids("wait") == [failed[0]]


ODD_JOBS: dict[bytes, dict[str, bytes]] = {
    b"no-data": {"name": b"foreign", "timestamp": b"1700000000000", "failedReason": b"Error: no"},
    b"fractions": {"name": b"foreign", "timestamp": b"1700000000000.5", "processedOn": b"1.7e12", "atm": b"x"},
    b"too-large": {"name": b"foreign", "timestamp": b"9" * 30, "finishedOn": b"9" * 20, "stacktrace": b"[1]"},
    b"infinite": {"name": b"foreign", "timestamp": b"inf", "opts": b"[]"},
    b"not-text-\xff": {"name": b"\xff", "timestamp": b"1700000000000"},
    b"control-\x1b[31m\n": {"name": b"\x1b[31m", "timestamp": b"1700000000000", "failedReason": b"E\x1b: x"},
    b"without-fields": {},
}


@pytest.fixture
async def odd_jobs(redis: Redis, bull: str) -> list[bytes]:
    """Failed jobs as other programs may leave them; one id names a key that is not a job."""
    key = f"{bull}:valuation".encode()
    await redis.hset(f"{bull}:valuation:meta", "paused", "1")
    await redis.set(key + b":not-a-job", "text")
    ids = [*ODD_JOBS, b"not-a-job"]
    await redis.zadd(key + b":failed", dict.fromkeys(ids, 1_700_000_000_000))
    for job_id, fields in ODD_JOBS.items():
        if fields:
            await redis.hset(key + b":" + job_id, mapping=fields)  # type: ignore[arg-type]
    return ids


@pytest.mark.parametrize(
    "words",
    [
        ["jobs", "ls", "valuation"],
        ["jobs", "ls", "valuation", "--each"],
        ["jobs", "ls", "valuation", "--each", "--key", "stay-1", "--state", "all"],
        ["jobs", "retry", "valuation", "--all", "--dry-run"],
        ["queues"],
        ["doctor"],
    ],
)
@pytest.mark.parametrize("as_json", [[], ["--json"]])
async def test_jobs_of_other_programs_stop_no_command(
    typed: Type, redis: Redis, bull: str, odd_jobs: list[bytes], words: list[str], as_json: list[str]
) -> None:
    """A job without data or fields, with numbers that are none, or with an id that is not text hides no other job."""
    await redis.zadd(f"{bull}:valuation:delayed", {b"late-\xff": 1_700_000_000_000, b"not-a-job": 1_700_000_000_000})
    result = await typed(*words, *as_json, "--bull-prefix", bull)
    assert "this is a bug" not in result.output
    assert "the server rejected" not in result.output
    assert result.exit_code in (0, 1)
    assert "\x1b[31m" not in result.output


async def test_each_odd_job_is_listed(typed: Type, bull: str, odd_jobs: list[bytes]) -> None:
    """Every job of the queue is in the list, however odd it is."""
    listed = records(await typed("jobs", "ls", "valuation", "--each", "--json", "--bull-prefix", bull))
    assert sorted(job["id"] for job in listed) == sorted(
        job_id.decode(errors="backslashreplace") for job_id in odd_jobs
    )


@pytest.mark.parametrize("job_id", ["no-data", "fractions", "too-large", "infinite"])
async def test_odd_job_is_shown(typed: Type, bull: str, odd_jobs: list[bytes], job_id: str) -> None:
    """A job of another program is shown with what can be read of it."""
    result = await typed("jobs", "show", "valuation", job_id, "--bull-prefix", bull)
    assert result.exit_code == 0
    assert f"foreign ({job_id})" in result.stdout


@pytest.mark.parametrize("name", ["failed", "id", "meta", "not-a-job"])
@pytest.mark.parametrize("command", ["show", "retry"])
async def test_key_that_is_not_a_job_is_not_found(
    typed: Type, bull: str, odd_jobs: list[bytes], redis: Redis, command: str, name: str
) -> None:
    """`jobs show QUEUE failed` names another key of the queue, which is not a job: the error names the list of jobs."""
    await redis.set(f"{bull}:valuation:id", "1")
    result = await typed("jobs", command, "valuation", name, "--bull-prefix", bull)
    assert result.exit_code == 4
    assert "domainstream jobs ls valuation" in result.stderr


@pytest.mark.parametrize(
    ("state", "follows"),
    [
        ("wait", "when a worker is free"),
        ("active", "it is being handled"),
        ("paused", "when the queue is resumed"),
        ("waiting-children", "when the jobs that it waits for have ended"),
        ("", "the queue does not list the job in any state"),
    ],
)
async def test_what_follows_is_said_for_every_state(
    typed: Type, redis: Redis, bull: str, state: str, follows: str
) -> None:
    """Also a job of a flow, of a paused queue, or one that a damaged queue has lost, shows what happens next."""
    await redis.set(f"{bull}:valuation:id", "1")
    await redis.hset(f"{bull}:valuation:one", mapping={"name": "price-stay", "timestamp": "1700000000000"})
    if state == "waiting-children":
        await redis.zadd(f"{bull}:valuation:{state}", {"one": 1})
    elif state:
        await redis.lpush(f"{bull}:valuation:{state}", "one")
    result = await typed("jobs", "show", "valuation", "one", "--bull-prefix", bull)
    assert result.exit_code == 0
    assert follows in result.stdout
