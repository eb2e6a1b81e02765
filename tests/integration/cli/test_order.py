"""`domainstream order`: whoever is on call finds out what holds up a key, and lets it go on."""

import asyncio

import pytest
from integration.cli.conftest import Type, records
from redis.asyncio import Redis
from support.ordered_queue import QUEUE
from support.worked_queue import WorkedQueue

from domainstream.queue.bullmq.scripts import now_ms


@pytest.fixture
def queue(redis_url: str, redis: Redis, bull: str) -> WorkedQueue:
    """The queue of this test, in which a failed job holds its key."""
    return WorkedQueue(redis_url, redis, bull)


@pytest.fixture
async def held(queue: WorkedQueue) -> WorkedQueue:
    """The same with two keys that are held: one with two jobs behind the failed one, one with none."""
    await queue.hold("stay-1", "a1", "a2", "a3")
    await queue.hold("stay-2", "b1")
    return queue


async def test_held_keys_are_listed_with_the_oldest_first(typed: Type, bull: str, held: WorkedQueue) -> None:
    """Each held key is one line: the failed job, the type of its error, since when, and how many jobs wait."""
    first, second = records(await typed("order", "ls", QUEUE, "--json", "--bull-prefix", bull))
    assert (first["key"], first["job_id"], first["name"], first["waiting"]) == ("stay-1", "a1", "price-stay", 2)
    assert (second["key"], second["waiting"]) == ("stay-2", 0)
    assert first["since_ms"] <= second["since_ms"]
    result = await typed("order", "ls", QUEUE, "--bull-prefix", bull)
    heading, row, _ = result.stdout.splitlines()
    assert heading.split() == ["key", "waiting", "failed", "job", "job", "error", "since"]
    assert row.split()[:5] == ["stay-1", "2", "a1", "price-stay", "ValueError"]
    assert "2 held keys, 2 jobs behind the failed ones" in result.stderr


async def test_list_shows_no_reason(typed: Type, bull: str, held: WorkedQueue) -> None:
    """Messages of errors may quote payloads: only --json has them, as for `jobs ls`."""
    assert "broken" not in (await typed("order", "ls", QUEUE, "--bull-prefix", bull)).stdout


async def test_list_is_limited_to_the_oldest(typed: Type, bull: str, held: WorkedQueue) -> None:
    """With more held keys than are listed, the oldest are, and the count of all is said."""
    result = await typed("order", "ls", QUEUE, "--count", "1", "--json", "--bull-prefix", bull)
    assert [key["key"] for key in records(result)] == ["stay-1"]
    assert "2 held keys" in result.stderr
    assert "--count 2" in result.stderr


async def test_queue_without_order_says_so(typed: Type, bull: str, queue: WorkedQueue) -> None:
    """A queue whose jobs are not handled in order has no held keys; a misspelled one is not found."""
    await queue.add("", "a1")
    result = await typed("order", "ls", QUEUE, "--bull-prefix", bull)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No jobs of valuation are handled in order" in result.stderr
    assert (await typed("order", "ls", "valuatoin", "--bull-prefix", bull)).exit_code == 4


async def test_queue_that_skips_failed_jobs_says_so(typed: Type, redis_url: str, redis: Redis, bull: str) -> None:
    """Where the rule is to go on, no key is held."""
    queue = WorkedQueue(redis_url, redis, bull, on_failure="skip")
    await queue.hold("stay-1", "a1", "a2")
    await queue.tend()
    result = await typed("order", "ls", QUEUE, "--bull-prefix", bull)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "its jobs go on behind one that has failed" in result.stderr


async def test_key_is_retried(typed: Type, bull: str, held: WorkedQueue) -> None:
    """The failed job starts again, and those behind it follow in order."""
    result = await typed("order", "retry", QUEUE, "stay-1", "--yes", "--bull-prefix", bull)
    assert (result.exit_code, result.stdout) == (0, "1 of 1 failed job of valuation retried; 2 jobs behind\n")
    assert await held.handle(until_done=lambda ids: len(ids) == 3) == ["a1", "a2", "a3"]
    assert await held.ids("failed") == ["b1"]


async def test_all_held_keys_are_retried(typed: Type, bull: str, held: WorkedQueue) -> None:
    """With --all every key that is held goes on."""
    (outcome,) = records(await typed("order", "retry", QUEUE, "--all", "--yes", "--json", "--bull-prefix", bull))
    assert (outcome["done"], outcome["chosen"], outcome["changed"], outcome["waiting"]) == ("retried", 2, 2, 2)
    assert sorted(await held.handle(until_done=lambda ids: len(ids) == 4)) == ["a1", "a2", "a3", "b1"]


async def test_key_is_skipped(typed: Type, bull: str, held: WorkedQueue) -> None:
    """The jobs behind the failed one are handled, and it stays failed."""
    result = await typed("order", "skip", QUEUE, "stay-1", "--yes", "--bull-prefix", bull)
    assert (result.exit_code, result.stdout) == (0, "1 of 1 failed job of valuation skipped; 2 jobs behind\n")
    assert await held.handle(until_done=lambda ids: len(ids) == 2) == ["a2", "a3"]
    assert await held.ids("failed") == ["a1", "b1"]


async def test_key_is_dropped(typed: Type, bull: str, held: WorkedQueue) -> None:
    """All jobs of the key are deleted, and those of other keys stay."""
    result = await typed("order", "drop", QUEUE, "stay-1", "--yes", "--bull-prefix", bull)
    assert (result.exit_code, result.stdout) == (0, "3 jobs of 1 key of valuation removed\n")
    assert (await held.ids("failed"), await held.ids("waiting-children")) == (["b1"], [])


async def test_all_keys_are_dropped(typed: Type, bull: str, held: WorkedQueue) -> None:
    """With --all nothing is left that waits, and nothing of the order."""
    await held.add("stay-3", "c1", "c2")
    result = await typed("order", "drop", QUEUE, "--all", "--yes", "--bull-prefix", bull)
    assert (result.exit_code, result.stdout) == (0, "6 jobs of 3 keys of valuation removed\n")
    assert (await held.ids("waiting-children"), await held.order_keys()) == ([], set())


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (("retry", "stay-1"), "Retry 1 failed job of valuation"),
        (("skip", "--all"), "Skip 2 failed jobs of valuation"),
        (("drop", "stay-1", "stay-2"), "Permanently delete 4 jobs of valuation"),
        (("drop", "--all"), "Permanently delete all jobs of 2 keys of valuation"),
    ],
)
async def test_commands_ask_first(
    typed: Type, bull: str, held: WorkedQueue, words: tuple[str, ...], question: str
) -> None:
    """Without --yes and without a terminal, a command says how much it would change, and stops."""
    action, *chosen = words
    result = await typed("order", action, QUEUE, *chosen, "--bull-prefix", bull)
    assert result.exit_code == 2
    assert question in result.stderr
    assert (await held.ids("failed"), await held.ids("waiting-children")) == (["a1", "b1"], ["a2", "a3"])


@pytest.mark.parametrize("action", ["retry", "skip", "drop"])
async def test_dry_run_changes_nothing(typed: Type, bull: str, held: WorkedQueue, action: str) -> None:
    """`--dry-run` only counts."""
    words = ("order", action, QUEUE, "--all", "--dry-run", "--json", "--bull-prefix", bull)
    (outcome,) = records(await typed(*words))
    assert (outcome["chosen"], outcome["dry_run"]) == (2, True)
    assert (await held.ids("failed"), await held.ids("waiting-children")) == (["a1", "b1"], ["a2", "a3"])


@pytest.mark.parametrize("action", ["retry", "skip", "drop"])
async def test_key_that_does_not_exist_is_not_found(typed: Type, bull: str, held: WorkedQueue, action: str) -> None:
    """A key without jobs ends the command with 4 and the command that lists keys; nothing is done to the others."""
    result = await typed("order", action, QUEUE, "stay-1", "stay-9", "--yes", "--bull-prefix", bull)
    assert result.exit_code == 4
    assert "key stay-9 in valuation" in result.stderr
    assert "domainstream order ls valuation" in result.stderr
    assert await held.ids("failed") == ["a1", "b1"]


@pytest.mark.parametrize("chosen", [(), ("stay-1", "--all")])
async def test_choice_must_be_clear(typed: Type, bull: str, held: WorkedQueue, chosen: tuple[str, ...]) -> None:
    """Without keys, or with keys and --all, nothing is done."""
    assert (await typed("order", "drop", QUEUE, *chosen, "--yes", "--bull-prefix", bull)).exit_code == 2


async def test_key_that_went_on_meanwhile_is_reported(
    typed: Type, bull: str, held: WorkedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else removes the failed job while the question waits: the command says that the key was not held."""

    def confirm(*_: object, **__: object) -> None:
        asyncio.run_coroutine_threadsafe(held.remove("a1"), loop).result()

    loop = asyncio.get_running_loop()
    monkeypatch.setattr("domainstream.cli.order.go_on.confirm", confirm)
    result = await typed("order", "retry", QUEUE, "stay-1", "--bull-prefix", bull)
    assert result.exit_code == 5
    assert "1 key had gone on meanwhile" in result.stderr


async def test_job_shows_its_place(typed: Type, bull: str, held: WorkedQueue) -> None:
    """`jobs show` says the key, what a job waits for, what waits for it, and what holds the key."""
    waiting = (await typed("jobs", "show", QUEUE, "a2", "--bull-prefix", bull)).stdout
    lines = {line.split("  ")[0]: line for line in waiting.splitlines()}
    assert "stay-1, which a1 holds" in lines["order key"]
    assert "a1" in lines["waits for"]
    assert "a3" in lines["waited for by"]
    assert "it begins when the job before it is done" in lines["next"]
    failed = (await typed("jobs", "show", QUEUE, "a1", "--bull-prefix", bull)).stdout
    assert "those behind it wait: see domainstream order ls valuation" in failed
    (record,) = records(await typed("jobs", "show", QUEUE, "a2", "--json", "--bull-prefix", bull))
    assert (record["order_key"], record["waits_for"], record["waits_for_it"], record["held_by"]) == (
        *("stay-1", "a1", "a3", "a1"),
    )


async def test_job_that_nobody_lets_go_says_what_it_needs(typed: Type, bull: str, held: WorkedQueue) -> None:
    """The job before was removed, and no subscriber has looked since."""
    await held.remove("a1")
    shown = (await typed("jobs", "show", QUEUE, "a2", "--bull-prefix", bull)).stdout
    assert "when a running subscriber looks after its queue" in shown


async def test_jobs_that_wait_in_order_have_a_column(typed: Type, bull: str, held: WorkedQueue) -> None:
    """`queues` counts them apart from jobs that wait for children."""
    heading, row = (await typed("queues", "--bull-prefix", bull)).stdout.splitlines()
    assert "waiting in order" in heading
    assert "waiting for children" not in heading
    assert row.split()[5] == "2"


async def findings(typed: Type, bull: str) -> dict[str, dict[str, str]]:
    """Return the doctor's findings by what was checked."""
    result = await typed("doctor", "--json", "--bull-prefix", bull)
    return {one["check"]: one for one in records(result, result.exit_code)}


async def test_held_keys_are_a_warning(typed: Type, bull: str, held: WorkedQueue) -> None:
    """`doctor` counts the held keys of a queue, with the age of the oldest, and the printed command lists them."""
    found = (await findings(typed, bull))["held keys"]
    assert found["status"] == "warning"
    assert "valuation has 2 held keys, the first for " in found["words"]
    assert "2 jobs wait until the failed one before" in found["words"]
    assert found["mend"] == f"domainstream order ls valuation --bull-prefix {bull}"


async def test_jobs_that_no_subscriber_lets_go_are_a_warning(typed: Type, bull: str, held: WorkedQueue) -> None:
    """The job before was removed while no subscriber runs: `doctor` says since when, and what to start."""
    await held.remove("a1")
    found = (await findings(typed, bull))["order"]
    assert found["status"] == "warning"
    assert "1 job of valuation, whose job before is gone, can go on only when a subscriber" in found["words"]
    assert "none ever has" in found["words"]
    await held.redis.set(held.key("order:tended"), now_ms() - 180_000)
    assert "none has for 3 min" in (await findings(typed, bull))["order"]["words"]


async def test_order_without_held_keys_is_well(typed: Type, bull: str, queue: WorkedQueue) -> None:
    """Jobs that wait for one that is still to be handled are no finding, nor is a mailbox that is looked after."""
    await queue.add("stay-1", "a1", "a2", "a3")
    found = await findings(typed, bull)
    assert found["order"]["status"] == "ok"
    assert "held keys" not in found
    await queue.tend()
    await queue.remove("a1")
    assert (await findings(typed, bull))["order"]["status"] == "ok"


async def test_keys_of_all_partitions_are_listed_and_go_on(
    typed: Type, redis: Redis, bull: str, held: WorkedQueue
) -> None:
    """A queue that is spread over several BullMQ queues is named once: the commands look into all of them."""
    partition = f"{bull}:valuation-p0"
    for name in ("id", "meta", "failed", "a1", "order:keys", "order:keys:stay-1"):
        await redis.copy(held.key(name), f"{partition}:{name}")
    await redis.hset(f"{partition}:a1", "parentKey", f"{partition}:order:a2")
    await redis.sadd(f"{partition}:order:a2:dependencies", f"{partition}:a1")
    (found,) = records(await typed("order", "retry", QUEUE, "stay-1", "--dry-run", "--json", "--bull-prefix", bull))
    assert (found["chosen"], found["waiting"]) == (2, 4)
    listed = (await typed("order", "ls", QUEUE, "--bull-prefix", bull)).stdout.splitlines()
    assert listed[0].split()[0] == "queue"
    assert sorted(line.split()[0] for line in listed[1:]) == ["valuation", "valuation", "valuation-p0"]
    assert "valuation has 3 held keys" in (await findings(typed, bull))["held keys"]["words"]
    (outcome,) = records(await typed("order", "drop", QUEUE, "stay-1", "--yes", "--json", "--bull-prefix", bull))
    assert outcome["removed"] == 4
