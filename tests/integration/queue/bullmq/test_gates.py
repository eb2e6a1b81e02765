"""Jobs of one key are handled one after the other: what waits for what, whatever is removed or retried."""

from datetime import timedelta

from msgspec.structs import replace
from support.ordered_queue import QUEUE
from support.stepped_queue import PATIENT, SteppedQueue

from domainstream.queue import JobSettings
from domainstream.queue.bullmq.scripts import script_text
from domainstream.queue.port import ChannelEpoch
from domainstream.redis.scripts import Script

KNOWN_SCRIPTS = {
    "addParentJob": "ec2e6289ba76f455c6e824ba4d6e92df2a5aaa97",
    "moveToFinished": "69666e69dd5621df59067a03de685e55a486560d",
    "moveStalledJobsToWait": "1e9bb7deb6219644a634d32c430ce15ed39a377e",
    "removeJob": "574af105e7df948fdf7e5410f3190a87f037d7f3",
    "cleanJobsInSet": "d4b4530a1de226c532b5256e3dafa5cdc1641a6a",
    "reprocessJob": "1323ff649a78371c602a52252e61dc9f2fdfe36d",
    "moveJobsToWait": "bc8c0fb293881a6f07cd03407410bf7bcbc818e4",
}
"""Those of bullmq 3.4.4. When one changes, read what it does with `parent` and `parentKey` before renewing this."""


def test_scripts_are_the_ones_we_know() -> None:
    """A release of bullmq that completes, removes or retries jobs in another way fails this test."""
    assert {name: Script.of(script_text(name)).sha for name in KNOWN_SCRIPTS} == KNOWN_SCRIPTS


async def test_jobs_of_one_key_start_one_after_the_other(queue: SteppedQueue) -> None:
    """A job starts when the one before it is completed; other keys do not wait."""
    await queue.add("a1", "a2", "b1", "a3")
    assert await queue.started() == ["a1", "b1"]
    await queue.complete("a1")
    assert await queue.started() == ["a2"]
    await queue.complete("b1", "a2")
    assert await queue.started() == ["a3"]
    await queue.complete("a3")
    assert await queue.where() == {"completed": ["a1", "a2", "a3", "b1"]}


async def test_rule_1_a_known_id_keeps_its_place(queue: SteppedQueue) -> None:
    """A job that is added again, running, waiting or done, stays where it is and waits for nothing else."""
    await queue.add("a1", "a2", "a3")
    assert await queue.started() == ["a1"]
    await queue.add("a2", "a1", "a3", "a2")
    assert await queue.list_of("a") == ["a1", "a2", "a3"]
    await queue.complete("a1")
    await queue.add("a1")
    assert await queue.work_off() == ["a2", "a3"]


async def test_rule_3_a_failed_job_holds_its_key(queue: SteppedQueue) -> None:
    """Behind a job that has failed for good, those that wait and those that come wait until it is retried."""
    await queue.add("a1", "a2")
    assert await queue.started() == ["a1"]
    await queue.fail("a1")
    await queue.add("a3", "b1")
    await queue.tend()
    assert await queue.work_off() == ["b1"]
    await queue.retry("a1")
    assert await queue.work_off() == ["a1", "a2", "a3"]


async def test_rule_3_a_failed_job_without_followers_holds_its_key(queue: SteppedQueue) -> None:
    """What comes after a key's last job has failed for good waits for it."""
    await queue.add("a1")
    assert await queue.started() == ["a1"]
    await queue.fail("a1")
    await queue.add("a2")
    await queue.tend()
    assert await queue.start() is None
    await queue.retry("a1")
    assert await queue.work_off() == ["a1", "a2"]


async def test_rule_3_an_attempt_that_fails_lets_nothing_pass(queue: SteppedQueue) -> None:
    """While a job is delayed until its next attempt, those behind it wait."""
    queue.settings = PATIENT
    await queue.add("a1", "a2")
    assert await queue.started() == ["a1"]
    await queue.fail("a1")
    await queue.add("a3")
    await queue.tend()
    assert await queue.start() is None
    assert await queue.where() == {"delayed": ["a1"], "waiting-children": ["a2", "a3"]}


async def test_rule_4_a_key_is_held_although_the_job_behind_is_removed(queue: SteppedQueue) -> None:
    """A failed job whose follower was removed does not look as if somebody had let that pass."""
    await queue.add("a1", "a2", "a3")
    assert await queue.started() == ["a1"]
    await queue.fail("a1")
    await queue.remove("a2")
    await queue.tend()
    await queue.remove("a3")
    await queue.tend()
    await queue.add("a4")
    await queue.tend()
    assert await queue.start() is None
    await queue.retry("a1")
    assert await queue.work_off() == ["a1", "a4"]


async def test_a_removed_job_is_not_waited_for(queue: SteppedQueue) -> None:
    """Behind a job that was removed before its turn, the next one waits for the one before it, not for nothing."""
    await queue.add("a1", "a2", "a3")
    assert await queue.started() == ["a1"]
    await queue.remove("a2")
    await queue.tend()
    assert await queue.start() is None
    await queue.complete("a1")
    assert await queue.work_off() == ["a3"]


async def test_a_removed_first_job_lets_the_next_start(queue: SteppedQueue) -> None:
    """When the failed job that holds a key is removed, the next one starts at the next look."""
    await queue.add("a1", "a2", "a3")
    assert await queue.started() == ["a1"]
    await queue.fail("a1")
    await queue.remove("a1")
    assert await queue.start() is None
    await queue.tend()
    assert await queue.work_off() == ["a2", "a3"]


async def test_a_removed_job_that_comes_again_goes_to_the_end(queue: SteppedQueue) -> None:
    """A removed job that is added again waits for all, and those that waited for it do not wait for it any more."""
    await queue.add("a1", "a2", "a3")
    assert await queue.started() == ["a1"]
    await queue.remove("a2")
    await queue.add_entries([queue.entry("a2")])
    await queue.tend()
    assert await queue.list_of("a") == ["a1", "a3", "a2"]
    assert await queue.start() is None
    await queue.complete("a1")
    assert await queue.work_off() == ["a3", "a2"]


async def test_the_first_job_removed_and_added_again(queue: SteppedQueue) -> None:
    """Also the first job of a key, which never waited, goes to the end when it is added again."""
    await queue.add("a1", "a2")
    await queue.remove("a1")
    await queue.add("a1")
    await queue.tend()
    assert await queue.work_off() == ["a2", "a1"]


async def test_a_removed_job_comes_again_with_another_key(queue: SteppedQueue) -> None:
    """A removed job that is added again under another key holds up nobody in its old one."""
    await queue.add("a1", "a2")
    await queue.remove("a1")
    await queue.add_entries([queue.entry("a1", key="b"), queue.entry("b2")])
    await queue.tend()
    assert sorted(await queue.started()) == ["a1", "a2"]
    await queue.complete("a1")
    assert await queue.started() == ["b2"]


async def test_priority_and_delay_begin_when_it_is_a_jobs_turn(queue: SteppedQueue) -> None:
    """A job that has waited for the one before it is then delayed, or takes its place by priority."""
    queue.settings = JobSettings(priority=5)
    await queue.add("a1", "a2")
    queue.settings = JobSettings(priority=1)
    await queue.add("b1")
    assert await queue.start() == "b1"
    assert await queue.start() == "a1"
    queue.settings = JobSettings(delay=timedelta(hours=1), priority=5)
    await queue.add("a3")
    await queue.complete("a1")
    assert await queue.where() == {
        "active": ["b1"],
        "prioritized": ["a2"],
        "waiting-children": ["a3"],
        "completed": ["a1"],
    }
    assert await queue.start() == "a2"
    await queue.complete("a2")
    assert await queue.where() == {"active": ["b1"], "delayed": ["a3"], "completed": ["a1", "a2"]}


async def test_entries_of_others_go_to_the_end(queue: SteppedQueue) -> None:
    """Entries that are claimed from another consumer are added behind those that have passed them."""
    epoch = ChannelEpoch(mark=queue.owner.epoch.mark, epoch=queue.owner.epoch.epoch, queues=[QUEUE], is_ordered=False)
    late = queue.entry("a1")
    await queue.add("a2")
    await queue.add_entries([late], epoch=epoch)
    assert await queue.work_off() == ["a2", "a1"]


async def test_a_job_without_a_key_waits_for_nothing(queue: SteppedQueue) -> None:
    """Jobs without a key, such as those of a queue beside, are added as ever."""
    await queue.add("a1")
    entry = queue.entry("other")
    await queue.add_entries([replace(entry, jobs=tuple(replace(job, order_key="") for job in entry.jobs))])
    assert await queue.started() == ["a1", "other"]
    assert await queue.keys() == {"order:keys", "order:keys:a"}
