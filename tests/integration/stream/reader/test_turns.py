"""Turns at a stream: who may read and acknowledge, and what a turn returns."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from support.hand_over import CHANNEL, GROUP, NO_CHANGES, TTL_MS, HandOver, Instance, RefusedError, events

from domainstream.redis.scripts import Script
from domainstream.stream import Delivery, Loss
from domainstream.stream.reader.turns import STORE_DEAD, TAKE


def without(line: str) -> dict[Script, Script]:
    """Return what to take a lease by instead: the script without a line, to show what that is for."""
    assert TAKE.text.count(line) == 1
    return {TAKE: Script.of(TAKE.text.replace(line, ""))}


async def lease_field(scene: HandOver, name: str) -> str:
    """Return a field of the lease."""
    value: Any = await scene.redis.hget(scene.lease, name)
    return str(value.decode())


async def clock_ms(scene: HandOver) -> int:
    """Return what the server's clock says, in milliseconds since 1970."""
    seconds, microseconds = await scene.redis.time()
    return int(seconds * 1000 + microseconds // 1000)


@pytest.fixture
async def full(redis: Redis) -> AsyncIterator[Redis]:
    """A server that will be full; afterwards it is not."""
    yield redis
    await redis.config_set("maxmemory", "0")


async def test_lease_is_held_until_it_runs_out_or_is_released(hand_over: HandOver) -> None:
    """Another instance takes the lease only after that; the epoch grows, also for the same instance."""
    await hand_over.add(i1_1="one")
    first, second = hand_over.instance("a"), hand_over.instance("b")
    taken = await first.take()
    again = await first.take("22222222")
    with pytest.raises(RefusedError, match=r"HELD \d+ a"):
        await second.take()
    await first.read("release")
    released = await second.take()
    await hand_over.expire_lease()
    expired = await first.take()
    assert taken.epoch < again.epoch < released.epoch < expired.epoch
    assert [one.owner_before for one in (taken, again, released, expired)] == ["", "a", "", "b"]
    assert (taken.token_before, again.token_before, again.token) == ("", "11111111", "11111111")


async def test_take_returns_what_queues_have_reached(hand_over: HandOver) -> None:
    """With acknowledgements an owner notes how far each queue has come, for the owners after it."""
    await hand_over.add(i1_1="one", i2_1="two")
    first = hand_over.instance("a")
    taken = await first.take()
    await first.read("renew", reached={"valuation": "1-1", "billing": "2-1"})
    await first.read("release", reached={"valuation": "2-1"})
    again = await hand_over.instance("b").take()
    assert (taken.reached, again.reached) == ({}, {"valuation": "2-1", "billing": "2-1"})


async def test_new_token_forgets_what_queues_have_reached(hand_over: HandOver) -> None:
    """Once the group is made anew, it says nothing how far queues had come before."""
    await hand_over.add(i1_1="one")
    owner = hand_over.instance("a")
    await owner.take()
    await owner.read("renew", reached={"valuation": "1-1"})
    await owner.rotate("22222222")
    assert (await owner.take()).reached == {}


async def test_take_returns_the_first_pending_entry(hand_over: HandOver) -> None:
    """Whatever queues have noted of entries before that one, it is settled."""
    await hand_over.add(i1_1="one", i2_1="two")
    owner = hand_over.instance("a")
    none = await owner.take()
    entries = (await owner.read("read")).deliveries
    await owner.acknowledge(entries[:1])
    assert (none.first_pending, (await owner.take()).first_pending) == ("", "2-1")


async def test_take_obeys_the_epoch_that_a_queue_refused(hand_over: HandOver) -> None:
    """An epoch is at least the one that was asked for, in case the lease was lost and the clock went back."""
    await hand_over.add(i1_1="one")
    least = 2**52
    assert (await hand_over.instance("a").take(least_epoch=least)).epoch == least


async def test_earlier_epoch_of_the_same_instance_is_refused(hand_over: HandOver) -> None:
    """What an instance sent over an earlier connection counts no longer."""
    await hand_over.add(i1_1="one")
    first = hand_over.instance("a")
    await first.take()
    old = first.epoch
    await first.take()
    first.epoch = old
    with pytest.raises(RefusedError, match="FENCED"):
        await first.new()


async def test_entries_are_read_once_in_order(hand_over: HandOver) -> None:
    """A turn acknowledges first and then reads up to the count."""
    await hand_over.add(i1_1="one", i2_1="two", i3_1="three")
    owner = hand_over.instance("a")
    await owner.take()
    page = await owner.new(count=2)
    rest = (await owner.read_new(page)).deliveries
    assert (events(page), events(rest)) == (["one", "two"], ["three"])
    assert await owner.new() == []
    assert await hand_over.pending() == ["3-1"]


async def test_foreign_fields_are_kept(hand_over: HandOver) -> None:
    """An entry of a foreign producer keeps its other fields."""
    await hand_over.add()
    await hand_over.redis.xadd(hand_over.stream, {"other": "field"})
    owner = hand_over.instance("a")
    await owner.take()
    (delivery,) = await owner.new()
    assert (delivery.data, delivery.other) == (None, ((b"other", b"field"),))


async def test_reconnects_do_not_make_healthy_entries_look_poisonous(hand_over: HandOver) -> None:
    """The same owner looks at what is pending without another delivery."""
    await hand_over.add(i1_1="one", i2_1="two")
    owner = hand_over.instance("a")
    await owner.take()
    await owner.new()
    for _ in range(5):
        await owner.take()
        pending = (await owner.read("pending")).deliveries
    assert [(event, delivery.deliveries) for event, delivery in zip(events(pending), pending, strict=True)] == [
        ("one", 1),
        ("two", 1),
    ]


async def test_delivered_at_each_reconnect_they_would(hand_over: HandOver) -> None:
    """Control: delivered anew each time, an entry soon has as many deliveries as a dead letter."""
    await hand_over.add(i1_1="one")
    owner = hand_over.instance("a")
    await owner.take()
    await owner.new()
    for _ in range(5):
        await owner.take()
        pending = (await owner.read("retry")).deliveries
    assert pending[0].deliveries == 6


@pytest.mark.parametrize("what", ["pending", "retry"])
async def test_pending_entries_come_in_pages(hand_over: HandOver, what: Any) -> None:
    """Each page begins after the last id of the one before; the last page is empty."""
    await hand_over.add(i1_1="one", i2_1="two", i3_1="three")
    owner = hand_over.instance("a")
    await owner.take()
    await owner.new()
    pages, after = [], "0-0"
    while page := (await owner.read(what, after=after, count=2)).deliveries:
        pages.append(events(page))
        after = page[-1].entry_id
    assert pages == [["one", "two"], ["three"]]


async def test_entry_that_may_kill_its_readers_is_delivered_alone(hand_over: HandOver) -> None:
    """After some deliveries an entry comes alone, so that its neighbours do not share its fate."""
    await hand_over.add(i1_1="one", i2_1="two", i3_1="three")
    owner = hand_over.instance("a")
    await owner.take()
    await owner.new()
    await hand_over.redis.xclaim(hand_over.stream, GROUP, "domainstream", 0, ["2-1"], retrycount=3)
    pages, after = [], "0-0"
    while page := (await owner.read("retry", after=after)).deliveries:
        pages.append([(delivery.entry_id, delivery.deliveries) for delivery in page])
        after = page[-1].entry_id
    assert pages == [[("1-1", 2)], [("2-1", 4)], [("3-1", 2)]]


@pytest.mark.parametrize("what", ["pending", "retry", "claim"])
async def test_deleted_entries_are_reported_and_acknowledged(hand_over: HandOver, what: Any) -> None:
    """A pending entry that no longer exists is reported by its id, once."""
    await hand_over.add(i1_1="one", i2_1="two")
    consumer = "old-consumer" if what == "claim" else "domainstream"
    await hand_over.redis.xreadgroup(GROUP, consumer, {hand_over.stream: ">"})
    await hand_over.redis.xdel(hand_over.stream, "1-1")
    owner = hand_over.instance("a")
    await owner.take()
    turn = await owner.read(what)
    assert (events(turn.deliveries), turn.deleted) == (["two"], ["1-1"])
    assert await hand_over.pending() == ["2-1"]


async def test_claim_leaves_what_others_are_busy_with(hand_over: HandOver) -> None:
    """Only what has been idle for long enough is taken over, and never what the owners read."""
    await hand_over.add(i1_1="one", i2_1="two")
    await hand_over.redis.xreadgroup(GROUP, "old-consumer", {hand_over.stream: ">"}, count=1)
    owner = hand_over.instance("a")
    await owner.take()
    await owner.new()
    call = replace(owner.calls, claim_after_ms=60_000).turn(owner.epoch.epoch, "claim")
    assert owner.calls.turn_of(await owner.call(call)).deliveries == []
    assert events((await owner.read("claim")).deliveries) == ["one"]


async def test_losses_are_found_before_the_read(hand_over: HandOver) -> None:
    """Entries that retention removed before the group had read them are reported with the next turn."""
    await hand_over.add(i1_1="one", i2_1="two", i3_1="three", i4_1="four")
    owner = hand_over.instance("a")
    await owner.take()
    await owner.new(count=1)
    await hand_over.redis.xtrim(hand_over.stream, minid="4-1", approximate=False)
    turn = await owner.read_new()
    assert events(turn.deliveries) == ["four"]
    assert turn.loss == Loss(CHANNEL, GROUP, 2, after="1-1", before="4-1")
    assert (await owner.read_new()).loss is None


async def test_group_that_was_set_back_needs_a_new_epoch(hand_over: HandOver) -> None:
    """What is read again is not what marks speak of: the turn fails, and the next take has another token."""
    await hand_over.add(i1_1="one", i2_1="two")
    owner = hand_over.instance("a")
    await owner.take()
    entries = await owner.new()
    await hand_over.redis.xgroup_setid(hand_over.stream, GROUP, "0")
    with pytest.raises(RefusedError, match="REWOUND"):
        await owner.read_new(entries)
    assert (await owner.take("22222222")).token == "22222222"
    assert events((await owner.read("pending")).deliveries) == ["one", "two"]


async def test_read_of_a_late_owner_is_not_passed(hand_over: HandOver) -> None:
    """The read behind a turn that fails takes entries anyway; the owner must not read past them."""
    await hand_over.add(i1_1="one", i2_1="two", i3_1="three")
    sleeper, owner = hand_over.instance("a"), hand_over.instance("b")
    await sleeper.take()
    await hand_over.expire_lease()
    await owner.take()
    with pytest.raises(RefusedError, match="FENCED"):
        await sleeper.new(count=2)
    with pytest.raises(RefusedError, match="MISSED something was read after 0-0"):
        await owner.new()
    await owner.take()
    assert events((await owner.read("pending")).deliveries) == ["one", "two", "three"]


@pytest.mark.parametrize("late", [False, True], ids=["the group was set back", "another has read"])
async def test_reading_in_the_script_obeys_the_same_rules(hand_over: HandOver, *, late: bool) -> None:
    """It also continues where the instance has read to, or not at all."""
    await hand_over.add(i1_1="one", i2_1="two")
    owner = hand_over.instance("a")
    await owner.take()
    first = await owner.read("read", count=1)
    assert [(delivery.entry_id, delivery.deliveries) for delivery in first.deliveries] == [("1-1", 1)]
    if late:
        await hand_over.redis.xreadgroup(GROUP, "domainstream", {hand_over.stream: ">"})
    else:
        await hand_over.redis.xgroup_setid(hand_over.stream, GROUP, "0")
    with pytest.raises(RefusedError, match="MISSED" if late else "REWOUND"):
        await owner.read("read", after="1-1")


async def test_reads_of_other_consumers_do_not_disturb(hand_over: HandOver) -> None:
    """While instances of an earlier version read along, the owner goes on with what they leave."""
    await hand_over.add(i1_1="one", i2_1="two")
    owner = hand_over.instance("a")
    await owner.take()
    await hand_over.redis.xreadgroup(GROUP, "old-consumer", {hand_over.stream: ">"}, count=1)
    assert events(await owner.new()) == ["two"]


async def replay_past_a_sleeper(scene: HandOver) -> tuple[Instance, Sequence[Delivery]]:
    """Let an owner sleep before it acknowledges; meanwhile the group is set back and another reads again."""
    await scene.add(i1_1="one")
    sleeper, second = scene.instance("a"), scene.instance("b")
    await sleeper.take()
    entries = await sleeper.new()
    await scene.expire_lease()
    await scene.redis.xgroup_setid(scene.stream, GROUP, "0")
    await second.take()
    await second.new()
    return sleeper, entries


async def test_late_acknowledgement_does_not_settle_what_another_is_about_to(hand_over: HandOver) -> None:
    """Only the owner acknowledges, so what it has read stays pending until it has done so."""
    sleeper, entries = await replay_past_a_sleeper(hand_over)
    with pytest.raises(RefusedError, match="FENCED"):
        await sleeper.acknowledge(entries)
    assert await hand_over.pending() == ["1-1"]


async def test_acknowledged_by_itself_it_would_be_lost(hand_over: HandOver) -> None:
    """Control: a plain XACK settles the entry, and if its reader dies now, nobody adds it."""
    await replay_past_a_sleeper(hand_over)
    await hand_over.redis.xack(hand_over.stream, GROUP, "1-1")
    assert await hand_over.pending() == []


async def see_a_lease_an_hour_ahead(scene: HandOver, instead_of: Mapping[Script, Script] = NO_CHANGES) -> int:
    """Let the clock go back by an hour after the owner has died; return in how many ms its lease ends, after a look."""
    await scene.add(i1_1="one")
    await scene.instance("a").take()
    now = await clock_ms(scene)
    mapping: Any = {"until": str(now + 3_600_000)}
    await scene.redis.hset(scene.lease, mapping=mapping)
    with pytest.raises(RefusedError, match="HELD"):
        await scene.instance("b", instead_of=instead_of).take()
    return int(await lease_field(scene, "until")) - now


async def test_lease_ends_within_its_term_though_the_clock_went_back(hand_over: HandOver) -> None:
    """Whoever looks at a lease that ends too late writes down the end of one that begins now."""
    assert await see_a_lease_an_hour_ahead(hand_over) < TTL_MS + 60_000


async def test_otherwise_the_stream_would_be_stuck(hand_over: HandOver) -> None:
    """Control: not written down, the end stays as far ahead as it is."""
    unwritten = without("call('HSET', lease, 'until', written(till))")
    assert await see_a_lease_an_hour_ahead(hand_over, unwritten) == 3_600_000


async def test_full_server_still_takes_turns(hand_over: HandOver, full: Redis) -> None:
    """Without memory for anything else leases are taken and entries read and acknowledged, which frees memory."""
    await hand_over.add(i1_1="one")
    await full.config_set("maxmemory", "1")
    owner = hand_over.instance("a")
    await owner.take()
    entries = (await owner.read("read")).deliveries
    await owner.acknowledge(entries)
    await owner.rotate("22222222")
    await owner.read("release")
    assert await hand_over.pending() == []


async def test_without_its_first_write_it_would_not(hand_over: HandOver, full: Redis) -> None:
    """Control: a script whose first write needs memory is refused."""
    await hand_over.add(i1_1="one")
    await full.config_set("maxmemory", "1")
    with pytest.raises(RefusedError):
        await hand_over.instance("a", instead_of=without("call('HDEL', lease, '')")).take()


async def test_turn_writes_only_what_it_must(hand_over: HandOver) -> None:
    """A turn that reads nothing while the lease need not be renewed costs replicas nothing."""
    await hand_over.add(i1_1="one")
    owner = hand_over.instance("a")
    await owner.take()
    await owner.acknowledge(await owner.new())
    before: Any = await hand_over.redis.info("persistence")
    await owner.call(owner.calls.turn(owner.epoch.epoch, "read", after="1-1", renew=False))
    after: Any = await hand_over.redis.info("persistence")
    assert after["rdb_changes_since_last_save"] == before["rdb_changes_since_last_save"]


async def test_turn_renews_the_lease(hand_over: HandOver) -> None:
    """When the lease needs to be renewed, it lasts for a whole term from then on."""
    await hand_over.add(i1_1="one")
    owner = hand_over.instance("a")
    await owner.take()
    await hand_over.expire_lease()
    now = await clock_ms(hand_over)
    await owner.read("renew")
    assert int(await lease_field(hand_over, "until")) >= now + TTL_MS


async def store_dead(owner: Instance, *entry_ids: str, script: Script = STORE_DEAD) -> Any:
    """Store the entries as dead letters; return the reply."""
    letters = {entry_id: ["error", "InvalidEnvelopeError", "entry_id", entry_id] for entry_id in entry_ids}
    call = owner.calls.store_dead(owner.epoch.epoch, f"{owner.calls.stream}:dead", letters)
    (reply,) = await owner.link.eval_each(script, [call.arguments])
    return reply


async def test_dead_letters_are_stored_once(hand_over: HandOver) -> None:
    """They are stored and acknowledged in one step, and a repeat skips them."""
    await hand_over.add(i1_1="one", i2_1="two", i3_1="three")
    owner = hand_over.instance("a")
    await owner.begin()
    await owner.new()
    assert [await store_dead(owner, "1-1", "3-1") for _ in range(2)] == [2, 0]
    letters: Any = await hand_over.redis.xrange(f"{hand_over.stream}:dead")
    assert [fields[b"entry_id"] for _, fields in letters] == [b"1-1", b"3-1"]
    assert await hand_over.pending() == ["2-1"]


async def test_late_owner_stores_no_dead_letter(hand_over: HandOver) -> None:
    """What another owner is about to add does not become a dead letter as well."""
    sleeper, _ = await replay_past_a_sleeper(hand_over)
    assert "FENCED" in str(await store_dead(sleeper, "1-1"))
    assert await hand_over.pending() == ["1-1"]
    assert not await hand_over.redis.exists(f"{hand_over.stream}:dead")


async def test_full_server_still_stores_dead_letters(hand_over: HandOver, full: Redis) -> None:
    """An entry that nobody can use does not stop its channel while memory is full."""
    await hand_over.add(i1_1="one")
    owner = hand_over.instance("a")
    await owner.begin()
    await owner.new()
    await full.config_set("maxmemory", "1")
    without_first_write = Script.of(STORE_DEAD.text.replace("call('HDEL', lease, '')", ""))
    assert "used memory" in str(await store_dead(owner, "1-1", script=without_first_write))
    assert await store_dead(owner, "1-1") == 1
