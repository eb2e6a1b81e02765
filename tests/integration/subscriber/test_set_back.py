"""After an operator sets a group back, removes it or replays events, no mark of before makes a queue skip one."""

import pytest
from support.hand_over import GROUP, HandOver, Instance, RefusedError


async def leave_three_pending(scene: HandOver) -> Instance:
    """Let a queue have 1, 2, 4 and 5; 3 and 6 stay pending; the queue forgets its jobs."""
    await scene.add(i1_1="one", i2_1="two", i3_1="three", i4_1="four", i5_1="five", i6_1="six")
    owner = scene.instance("a")
    await owner.begin()
    entries = await owner.new()
    await owner.forward([entry for entry in entries if entry.entry_id not in ("3-1", "6-1")])
    await scene.forget()
    return owner


async def hand_over_all(owner: Instance) -> None:
    """Do what an owner does at a take: what is pending first, then what is new."""
    while pending := (await owner.read("retry")).deliveries:
        await owner.forward(pending)
    while fresh := await owner.new(count=2):
        await owner.forward(fresh)


async def test_while_nobody_reads(hand_over: HandOver) -> None:
    """A group that was set back without a reader is read again from there."""
    await leave_three_pending(hand_over)
    await hand_over.redis.xgroup_setid(hand_over.stream, GROUP, "0")
    await hand_over.expire_lease()
    owner = hand_over.instance("b")
    await owner.begin()
    await hand_over_all(owner)
    assert sorted(await hand_over.jobs()) == sorted(["one", "two", "three", "four", "five", "six"])
    assert await hand_over.pending() == []


async def test_while_an_owner_reads(hand_over: HandOver) -> None:
    """A group that was set back under its owner is read again from there, under a new token."""
    owner = await leave_three_pending(hand_over)
    await hand_over.redis.xgroup_setid(hand_over.stream, GROUP, "0")
    with pytest.raises(RefusedError, match="REWOUND"):
        await owner.new(count=2)
    await owner.take("22222222")
    await owner.fence()
    await hand_over_all(owner)
    assert sorted(await hand_over.jobs()) == sorted(["one", "two", "three", "four", "five", "six"])
    assert await hand_over.pending() == []
