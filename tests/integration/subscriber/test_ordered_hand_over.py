"""The ordered hand-over when instances die and servers lose writes, each step of the crash in its order.

Beside each protection is a test that shows what happens without it.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError
from support.hand_over import CHANNEL, GROUP, HandOver, Instance, RefusedError, events, routed

from domainstream.queue.bullmq.add_calls import add_calls
from domainstream.redis.link import Arguments
from domainstream.stream import Delivery


async def lose_the_stream_s_tail(scene: HandOver) -> Instance:
    """Let a queue have 1 to 5, then take 4 and 5 from the stream, whose next entry gets an id below the mark."""
    first = scene.instance("a")
    await scene.add(i1_1="one", i2_1="two", i3_1="three")
    await first.begin()
    await first.forward(await first.new())
    replica = await scene.saved(scene.stream, scene.lease)
    await scene.add(i4_1="four", i5_1="five")
    await first.forward(await first.new())
    await scene.fall_back(replica)
    await scene.add(i3_5="late")
    return first


async def settle_pending(second: Instance) -> None:
    """Add and acknowledge what the owner before left pending."""
    pending = (await second.read("retry")).deliveries
    assert events(pending) == ["late"]
    await second.forward(pending)


async def test_event_below_the_mark_survives_the_death_of_its_reader(hand_over: HandOver) -> None:
    """A queue's mark is lowered before anything is read, so that what is read later is never taken for done."""
    first = await lose_the_stream_s_tail(hand_over)
    await first.begin()
    await first.new()
    await hand_over.expire_lease()
    second = hand_over.instance("b")
    await second.begin()
    await settle_pending(second)
    assert await hand_over.jobs() == ["one", "two", "three", "four", "five", "late"]
    assert await hand_over.pending() == []


async def test_without_lowering_the_mark_that_event_is_lost(hand_over: HandOver) -> None:
    """Control: an epoch that is only announced takes the event for one that the queue has had."""
    first = await lose_the_stream_s_tail(hand_over)
    await first.take()
    await first.announce_only()
    await first.new()
    await hand_over.expire_lease()
    second = hand_over.instance("b")
    await second.take()
    await second.announce_only()
    await settle_pending(second)
    assert "late" not in await hand_over.jobs()
    assert await hand_over.pending() == []


async def leave_one_to_an_old_consumer(scene: HandOver) -> None:
    """Let a consumer of an earlier version read 1 and die, while a queue's mark passes it."""
    await scene.add(i1_1="one")
    await scene.redis.xreadgroup(GROUP, "old-consumer", {scene.stream: ">"})
    await scene.add(i2_1="two")
    first = scene.instance("a")
    await first.begin()
    await first.forward(await first.new())


async def test_claimed_entry_is_added_though_the_mark_is_past_it(hand_over: HandOver) -> None:
    """What another consumer left is kept apart from what marks speak of, also when its new owner dies."""
    await leave_one_to_an_old_consumer(hand_over)
    for name in ("a", "b"):  # the first dies with it
        await hand_over.expire_lease()
        owner = hand_over.instance(name)
        await owner.begin()
        claimed = (await owner.read("claim")).deliveries
    assert events(claimed) == ["one"]
    assert claimed[0].deliveries == 3
    owner.epoch = replace(owner.epoch, is_ordered=False)
    await owner.forward(claimed)
    assert await hand_over.jobs() == ["two", "one"]
    assert await hand_over.pending() == []


async def test_claimed_under_the_shared_name_it_is_lost(hand_over: HandOver) -> None:
    """Control: as an entry of the consumer that marks speak of, it is taken for done."""
    await leave_one_to_an_old_consumer(hand_over)
    await hand_over.redis.xclaim(hand_over.stream, GROUP, "domainstream", 0, ["1-1"])
    await hand_over.expire_lease()
    second = hand_over.instance("b")
    await second.begin()
    await second.forward((await second.read("retry")).deliveries)
    assert await hand_over.jobs() == ["two"]
    assert await hand_over.pending() == []


@pytest.fixture
async def limited(redis: Redis) -> AsyncIterator[Redis]:
    """A server whose memory may be limited; afterwards it is not."""
    yield redis
    await redis.config_set("maxmemory", "0")


async def add_two_with_memory_between(owner: Instance, entries: Sequence[Delivery], *reached: str) -> list[Any]:
    """Send a call for each entry in one write; memory is free only when the second arrives. Return their replies."""
    calls: list[Arguments] = []
    for entry, before in zip(entries, reached, strict=True):
        epochs = {CHANNEL: replace(owner.epoch, reached={"valuation": before} if before else {})}
        made = add_calls(routed([entry], "valuation"), epochs, bull_prefix=owner.scene.bull_prefix)
        calls += [call.arguments for call in made]
    first, second = (("EVAL", owner.adding.text, *call) for call in calls)
    await owner.scene.redis.config_set("maxmemory", "1")
    replies = await owner.queue_link.exchange(first, ("CONFIG", "SET", "maxmemory", "0"), second, seconds=5)
    assert isinstance(replies[0], OutOfMemoryError)
    return replies[::2]


async def test_later_call_does_not_pass_one_that_failed(hand_over: HandOver, limited: Redis) -> None:
    """A call that was sent before the reply to the one before says what that must have reached."""
    await hand_over.add(i1_1="one", i2_1="two")
    owner = hand_over.instance("a")
    await owner.begin()
    entries = await owner.new()
    replies = await add_two_with_memory_between(owner, entries, "", "1-1")
    assert str(replies[1]) == "BEHIND 1 1 0-0"
    await owner.forward(entries)
    assert await hand_over.jobs() == ["one", "two"]


async def test_without_that_the_first_call_s_events_are_lost(hand_over: HandOver, limited: Redis) -> None:
    """Control: the second call moves the mark past what the first one did not add."""
    await hand_over.add(i1_1="one", i2_1="two")
    owner = hand_over.instance("a")
    await owner.begin()
    entries = await owner.new()
    replies = await add_two_with_memory_between(owner, entries, "", "")
    assert replies[1] == [1, []]
    await owner.forward(entries)
    assert await hand_over.jobs() == ["two"]
    assert await hand_over.pending() == []


async def test_repeat_adds_nothing_though_the_queue_has_forgotten_the_jobs(hand_over: HandOver) -> None:
    """An owner that dies between adding and acknowledging leaves nothing to add to the next one."""
    await hand_over.add(i1_1="one", i2_1="two")
    first = hand_over.instance("a", "valuation", "billing")
    await first.begin()
    await first.add(routed(await first.new(), "valuation"))
    await hand_over.forget("valuation")
    await hand_over.expire_lease()
    second = hand_over.instance("b", "valuation", "billing")
    await second.begin()
    await second.forward((await second.read("retry")).deliveries)
    assert await hand_over.jobs("valuation") == []
    assert await hand_over.jobs("billing") == ["one", "two"]
    assert await hand_over.pending() == []


async def test_without_marks_they_are_added_twice(hand_over: HandOver) -> None:
    """Control: ids of jobs alone do not help once a job is done and removed."""
    await hand_over.add(i1_1="one")
    first = hand_over.instance("a")
    await first.begin()
    await first.add(routed(await first.new(), "valuation"))
    await hand_over.forget()
    await hand_over.redis.delete(hand_over.marks("valuation"))
    await hand_over.expire_lease()
    second = hand_over.instance("b")
    await second.begin()
    await second.forward((await second.read("retry")).deliveries)
    assert await hand_over.jobs() == ["one"]


async def test_late_owner_adds_nothing_and_acknowledges_nothing(hand_over: HandOver) -> None:
    """After another took the lease and fenced the queues, whatever an owner that slept sends is refused."""
    await hand_over.add(i1_1="one")
    sleeper = hand_over.instance("a")
    await sleeper.begin()
    entries = await sleeper.new()
    await hand_over.expire_lease()
    second = hand_over.instance("b")
    await second.begin()
    fenced = f"FENCED {second.lease.epoch}"
    with pytest.raises(RefusedError, match=fenced):
        await sleeper.add(routed(entries, "valuation"))
    with pytest.raises(RefusedError, match=fenced):
        await sleeper.acknowledge(entries)
    with pytest.raises(RefusedError, match=fenced):
        await sleeper.new()
    assert (await sleeper.fence())[0].higher == second.lease.epoch
    assert await hand_over.jobs() == []
    assert await hand_over.pending() == ["1-1"]


async def wake_up_after_a_lost_tail(scene: HandOver, *, knows_the_epoch: bool) -> Instance:
    """Let an owner sleep with 4 to add, the stream lose it, and the owner wake up after the next one's fence."""
    await scene.add(i1_1="one")
    sleeper = scene.instance("a")
    await sleeper.begin()
    await sleeper.forward(await sleeper.new())
    replica = await scene.saved(scene.stream, scene.lease)
    await scene.add(i4_1="four")
    entries = await sleeper.new()
    await scene.fall_back(replica)
    await scene.expire_lease()
    second = scene.instance("b")
    await second.begin()
    if knows_the_epoch:
        sleeper.epoch = replace(sleeper.epoch, epoch=second.epoch.epoch)
        await sleeper.add(routed(entries, "valuation"))
    else:
        with pytest.raises(RefusedError, match="FENCED"):
            await sleeper.add(routed(entries, "valuation"))
    await scene.add(i3_1="late")
    await second.new()
    return second


async def test_late_owner_does_not_move_a_mark_past_what_comes_later(hand_over: HandOver) -> None:
    """Its epoch keeps an old owner from adding entries that the stream no longer has."""
    second = await wake_up_after_a_lost_tail(hand_over, knows_the_epoch=False)
    await settle_pending(second)
    assert await hand_over.jobs() == ["one", "late"]


async def test_if_it_could_an_event_would_be_lost(hand_over: HandOver) -> None:
    """Control: with the new owner's epoch, the old one moves the mark past an event that comes later."""
    second = await wake_up_after_a_lost_tail(hand_over, knows_the_epoch=True)
    await settle_pending(second)
    assert await hand_over.jobs() == ["one", "four"]
    assert await hand_over.pending() == []


async def lose_the_queue_s_tail(scene: HandOver) -> Instance:
    """Let a queue have 1 to 3, then lose 2 and 3, whose entries are acknowledged."""
    await scene.add(i1_1="one", i2_1="two", i3_1="three", i4_1="four")
    owner = scene.instance("a")
    await owner.begin()
    await owner.forward(await owner.new(count=1))
    found: Any = await scene.redis.keys(f"{scene.bull_prefix}:*")
    keys = [key.decode() for key in found]
    replica = await scene.saved(*keys)
    await owner.forward(await owner.new(count=2))
    for key in await scene.redis.keys(f"{scene.bull_prefix}:*"):
        await scene.redis.delete(key)
    await scene.fall_back(replica)
    return owner


async def test_lost_tail_of_a_queue_is_noticed_and_healed(hand_over: HandOver) -> None:
    """Jobs and mark are lost together, so the owner sees which entries to add again, and in order."""
    owner = await lose_the_queue_s_tail(hand_over)
    entries = await owner.new()
    with pytest.raises(RefusedError, match="BEHIND 1 1 1-1"):
        await owner.add(routed(entries, "valuation"))
    missing: Any = await hand_over.redis.xrange(hand_over.stream, "(1-1", owner.epoch.reached["valuation"])
    again = [Delivery.of_fields(CHANNEL, entry_id.decode(), fields) for entry_id, fields in missing]
    owner.epoch.reached.clear()
    await owner.add(routed(again, "valuation"))
    await owner.forward(entries)
    assert await hand_over.jobs() == ["one", "two", "three", "four"]


async def test_without_that_the_lost_tail_goes_unnoticed(hand_over: HandOver) -> None:
    """Control: an owner that does not say how far the queue must be loses what was acknowledged."""
    owner = await lose_the_queue_s_tail(hand_over)
    owner.epoch.reached.clear()
    await owner.forward(await owner.new())
    assert await hand_over.jobs() == ["one", "four"]
    assert await hand_over.pending() == []


async def lose_both_tails(scene: HandOver) -> Instance:
    """Let the stream lose its tail, and then the queue the fence of the epoch that began for that reason."""
    first = await lose_the_stream_s_tail(scene)
    replica = await scene.saved(scene.marks("valuation"))
    await first.begin()
    await scene.fall_back(replica)
    return first


async def test_queue_that_lost_the_fence_takes_nothing_before_the_next(hand_over: HandOver) -> None:
    """A queue adds only in the epoch that it knows, so a lost fence cannot bring back a mark that is too high."""
    owner = await lose_both_tails(hand_over)
    entries = await owner.new()
    with pytest.raises(RefusedError, match="UNFENCED 1 1"):
        await owner.forward(entries)
    await owner.fence()
    await owner.forward(entries)
    assert await hand_over.jobs() == ["one", "two", "three", "four", "five", "late"]


async def test_if_it_did_an_event_would_be_lost(hand_over: HandOver) -> None:
    """Control: with a mark of before the fence, but its epoch, the event counts as done."""
    owner = await lose_both_tails(hand_over)
    await owner.announce_only()
    await owner.forward(await owner.new())
    assert "late" not in await hand_over.jobs()
    assert await hand_over.pending() == []


async def feed_one_queue_from_two_servers(scene: HandOver, *tokens: str) -> None:
    """Hand over 9 from one server, then 5 from another, whose streams have the same names."""
    async with Redis.from_url(scene.url, db=1) as other:
        second = HandOver(other, f"{scene.url}?db=1", scene.prefix, queues=scene.redis, queues_url=scene.url)
        for one, entries, token in zip((scene, second), ({"i9_1": "nine"}, {"i5_1": "five"}), tokens, strict=True):
            await one.add(**entries)
            owner = one.instance("a")
            await owner.take(token)
            await owner.announce_only()  # the mark of the first must stay, so that this test is about the token alone
            await owner.forward(await owner.new())
        await other.delete(second.stream, second.lease)
        await second.owned.aclose()


async def test_streams_of_two_servers_do_not_share_a_mark(hand_over: HandOver) -> None:
    """The token of its lease distinguishes a stream from one with the same name on another server."""
    await feed_one_queue_from_two_servers(hand_over, "11111111", "22222222")
    assert await hand_over.jobs() == ["nine", "five"]


async def test_with_a_shared_mark_events_are_lost(hand_over: HandOver) -> None:
    """Control: what comes from the second server counts as done by what came from the first."""
    await feed_one_queue_from_two_servers(hand_over, "11111111", "11111111")
    assert await hand_over.jobs() == ["nine"]


async def test_group_that_was_destroyed_is_made_anew_under_a_new_token(hand_over: HandOver) -> None:
    """Everything in the stream is added again as far as its jobs are unknown, and old owners stay out."""
    await hand_over.add(i1_1="one", i2_1="two")
    first = hand_over.instance("a")
    await first.begin()
    entries = await first.new()
    await first.forward(entries)
    await hand_over.redis.xgroup_destroy(hand_over.stream, GROUP)
    await hand_over.forget()
    with pytest.raises(RefusedError, match="NOGROUP"):
        await first.new()
    await hand_over.expire_lease()
    second = hand_over.instance("b")
    with pytest.raises(RefusedError, match="NOGROUP"):
        await second.take()
    lease = await second.rotate("22222222")
    await second.fence()
    with pytest.raises(RefusedError, match="FENCED"):
        await first.add(routed(entries, "valuation"))
    await second.forward(await second.new())
    assert (lease.token_before, lease.token, lease.last_delivered) == ("11111111", "22222222", "0-0")
    assert await hand_over.jobs() == ["one", "two"]


async def test_events_of_a_group_that_was_set_back_are_added_again(hand_over: HandOver) -> None:
    """Who sets a group back wants its events again; also if the owner dies when it has noticed."""
    await hand_over.add(i1_1="one", i2_1="two")
    first = hand_over.instance("a")
    await first.begin()
    await first.forward(await first.new())
    await hand_over.forget()
    await hand_over.redis.xgroup_setid(hand_over.stream, GROUP, "0")
    with pytest.raises(RefusedError, match="REWOUND"):
        await first.new()
    await hand_over.expire_lease()
    second = hand_over.instance("b")
    await second.take("22222222")
    await second.fence()
    await second.forward((await second.read("retry")).deliveries)
    assert await hand_over.jobs() == ["one", "two"]


async def read_past_a_late_owner(scene: HandOver, *, checked: bool) -> Instance:
    """Let a late owner's read take 1 behind the refusal of its turn, and the owner read and add 2."""
    await scene.add(i1_1="one", i2_1="two")
    sleeper, owner = scene.instance("a"), scene.instance("b")
    await sleeper.begin()
    await scene.expire_lease()
    await owner.begin()
    with pytest.raises(RefusedError, match="FENCED"):
        await sleeper.new(count=1)
    if checked:
        with pytest.raises(RefusedError, match="MISSED"):
            await owner.new()
        return owner
    owner.seen = "1-1"
    await owner.forward(await owner.new())
    return owner


@pytest.mark.parametrize("checked", [True, False], ids=["as it is", "control: without the check it is lost"])
async def test_entry_that_a_late_owner_took_is_found(hand_over: HandOver, *, checked: bool) -> None:
    """The owner notices that something was read that it has not seen, before its queues' marks pass it."""
    owner = await read_past_a_late_owner(hand_over, checked=checked)
    await owner.begin()
    await owner.forward((await owner.read("retry")).deliveries)
    assert await hand_over.jobs() == (["one", "two"] if checked else ["two"])
    assert await hand_over.pending() == []
