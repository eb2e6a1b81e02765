"""Each primary of a cluster has a lane of its own, and no channel is ever in two of them."""

import asyncio

import pytest
from support.fake_nodes import topology_of, two_nodes
from support.publishing import messages, outcomes
from support.senders import ALL, GatedSender, ticks

from domainstream import BatchLimits, Outcome, Receipt
from domainstream.errors import receipts_of
from domainstream.producer import OutgoingMessage
from domainstream.publisher.coalescer import Coalescer
from domainstream.publisher.node_lanes import NodeLanes
from domainstream.redis.slot_map import SlotMap, key_slot
from domainstream.redis.topology import Address, RedisTopology

ONE, TWO, THREE = (Address("10.0.0.1", 1), Address("10.0.0.2", 2), Address("10.0.0.3", 3))


class Cluster:
    """A publisher over lanes with gated senders, and a map that a test moves slots in."""

    def __init__(self, *, limits: BatchLimits | None = None, letting_through: int = 0) -> None:
        self.slots = SlotMap(RedisTopology.of("redis+cluster://10.0.0.1:1"))
        self.senders: list[GatedSender] = []
        """The sender of each lane, in the order in which the lanes began."""
        self._letting_through = letting_through
        limits = limits or BatchLimits()
        self.lanes = NodeLanes(self.slots, self._sender, limits)
        self.publisher = Coalescer(self.lanes, limits, time_limit=60)

    def move(self, channel: str, to: Address) -> None:
        """Let a node have a channel's slot."""
        self.slots.moved(key_slot(channel), to)

    def publish(self, *some: OutgoingMessage) -> asyncio.Task[list[Receipt]]:
        """Begin to publish."""
        return asyncio.create_task(self.publisher.publish(some))

    def sent(self) -> list[list[OutgoingMessage]]:
        """What each sender was given, in order, all channels together."""
        return [
            [message for flush in sender.flushes for batch in flush.values() for message in batch]
            for sender in self.senders
        ]

    def _sender(self) -> GatedSender:
        self.senders.append(GatedSender(letting_through=self._letting_through))
        return self.senders[-1]


async def test_lane_that_is_stuck_holds_up_no_other() -> None:
    """While the sender of one node gets no reply, the channels of the other node are published."""
    cluster = Cluster()
    cluster.move("orders", ONE)
    cluster.move("invoices", TWO)
    stuck = cluster.publish(*messages("orders", 1))
    other = cluster.publish(*messages("invoices", 1))
    await ticks()
    cluster.senders[1].open()
    await other
    assert not stuck.done()
    cluster.senders[0].open()
    await stuck


async def test_channels_of_one_node_share_a_lane() -> None:
    """There are as many senders as nodes, however many channels there are."""
    cluster = Cluster(letting_through=ALL)
    for channel in ("orders", "invoices", "payments"):
        cluster.move(channel, TWO if channel == "invoices" else ONE)
        await cluster.publish(*messages(channel, 2))
    assert len(cluster.senders) == 2


async def test_receipts_of_a_call_over_two_lanes_stand_in_its_order() -> None:
    """A call whose messages go to several nodes gets its receipts in the order of the messages."""
    cluster = Cluster(letting_through=ALL, limits=BatchLimits(batch_messages=3))
    cluster.move("orders", ONE)
    cluster.move("invoices", TWO)
    mixed = [message for _ in range(5) for channel in ("orders", "invoices") for message in messages(channel, 1)]
    receipts = await cluster.publisher.publish(mixed)
    assert [receipt.event_id for receipt in receipts] == [message.event_id for message in mixed]
    assert outcomes(receipts) == {Outcome.PUBLISHED}
    assert cluster.publisher.waiting == 0


async def test_channel_stays_in_its_lane_while_it_is_busy() -> None:
    """What comes after the slot has moved does not overtake what is in flight."""
    cluster = Cluster()
    cluster.move("orders", ONE)
    batch = messages("orders", 3)
    calls = [cluster.publish(batch[0])]
    await ticks()
    cluster.move("orders", TWO)
    calls += [cluster.publish(batch[1]), cluster.publish(batch[2])]
    await ticks()
    assert cluster.sent() == [[batch[0]]]
    cluster.senders[0].open()
    await calls[0]
    await ticks()
    assert cluster.sent() == [[batch[0]], batch[1:]]
    cluster.senders[1].open()
    await asyncio.gather(*calls)


async def test_control_lane_by_the_owner_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: if a channel changed its lane at once, two batches of it would be in flight, in no order."""
    cluster = Cluster()
    monkeypatch.setattr(NodeLanes, "_lane_of", NodeLanes._lane_at)
    cluster.move("orders", ONE)
    batch = messages("orders", 2)
    calls = [cluster.publish(batch[0])]
    await ticks()
    cluster.move("orders", TWO)
    calls += [cluster.publish(batch[1])]
    await ticks()
    assert cluster.sent() == [[batch[0]], [batch[1]]]
    assert not calls[0].done()
    for sender in cluster.senders:
        sender.open()
    await asyncio.gather(*calls)


async def test_channel_that_never_rests_changes_its_lane() -> None:
    """A channel with messages waiting at all times still gets to the lane of its new node."""
    cluster = Cluster(limits=BatchLimits(batch_messages=2))
    cluster.move("orders", ONE)
    batch = messages("orders", 7)
    call = cluster.publish(*batch)
    await ticks()
    cluster.move("orders", TWO)
    cluster.senders[0].open()
    await ticks()
    cluster.senders[1].open()
    receipts = await call
    assert cluster.sent() == [batch[:2], batch[2:]]
    assert outcomes(receipts) == {Outcome.PUBLISHED}


async def test_what_waits_moves_without_its_neighbours() -> None:
    """Of the calls that wait in a lane, only the messages of the channel that moved change it, each in order."""
    cluster = Cluster()
    for channel in ("orders", "invoices"):
        cluster.move(channel, ONE)
    first, orders, invoices = messages("orders", 1), messages("orders", 4), messages("invoices", 4)
    calls = [cluster.publish(*first)]
    await ticks()
    calls += [
        cluster.publish(orders[0], invoices[0], orders[1], invoices[1]),
        cluster.publish(invoices[2]),
        cluster.publish(orders[2]),
        cluster.publish(orders[3], invoices[3]),
    ]
    await ticks()
    cluster.move("orders", TWO)
    cluster.senders[0].open()
    await ticks()
    cluster.senders[1].open()
    receipts = await asyncio.gather(*calls)
    assert cluster.sent() == [[*first, *invoices], orders]
    assert [receipt.event_id for receipt in receipts[1]] == [
        message.event_id for message in (orders[0], invoices[0], orders[1], invoices[1])
    ]


async def test_messages_that_move_twice_are_settled_once() -> None:
    """A part that has moved can move again; its call ends when all of its messages are settled."""
    cluster = Cluster(limits=BatchLimits(batch_messages=1))
    cluster.move("orders", ONE)
    batch = messages("orders", 4)
    call = cluster.publish(*batch)
    await ticks()
    for number, node in enumerate((TWO, THREE)):
        cluster.move("orders", node)
        cluster.senders[number].let_through(1)
        await ticks()
    cluster.senders[2].open()
    receipts = await call
    assert cluster.sent() == [batch[:1], batch[1:2], batch[2:]]
    assert outcomes(receipts) == {Outcome.PUBLISHED}


async def test_lane_of_a_node_without_channels_is_closed() -> None:
    """When a node has none of the channels any more, its sender is closed."""
    cluster = Cluster(letting_through=ALL)
    for channel in ("orders", "invoices"):
        cluster.move(channel, ONE if channel == "orders" else TWO)
        await cluster.publish(*messages(channel, 1))
    cluster.move("orders", TWO)
    await cluster.publish(*messages("invoices", 1))
    assert [sender.closed for sender in cluster.senders] == [True, False]
    await cluster.publish(*messages("orders", 1))
    assert len(cluster.senders) == 2


async def test_cancelled_call_over_two_lanes_reports_its_receipts() -> None:
    """What is settled is `published`, what is in flight `unknown`, and what was never sent `rejected`, and is not."""
    cluster = Cluster(limits=BatchLimits(batch_messages=1))
    cluster.move("orders", ONE)
    cluster.move("invoices", TWO)
    orders, invoices = messages("orders", 2), messages("invoices", 2)
    call = cluster.publish(orders[0], invoices[0], orders[1], invoices[1])
    await ticks()
    cluster.senders[1].let_through(1)
    await ticks()
    call.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await call
    assert [receipt.outcome for receipt in receipts_of(cancelled.value)] == [
        Outcome.UNKNOWN,
        Outcome.PUBLISHED,
        Outcome.REJECTED,
        Outcome.UNKNOWN,
    ]
    for sender in cluster.senders:
        sender.open()
    await cluster.publisher.drain()
    assert cluster.sent() == [orders[:1], invoices]


async def test_draining_waits_for_every_lane() -> None:
    """`drain` returns when no lane has anything left."""
    cluster = Cluster()
    cluster.move("orders", ONE)
    cluster.move("invoices", TWO)
    calls = [cluster.publish(*messages(channel, 1)) for channel in ("orders", "invoices")]
    await ticks()
    cluster.senders[0].open()
    draining = asyncio.create_task(cluster.publisher.drain())
    await calls[0]
    await ticks()
    assert not draining.done()
    cluster.senders[1].open()
    await draining
    assert all(call.done() for call in calls)


async def test_first_messages_wait_for_the_map() -> None:
    """Before anything is known about the cluster, the nodes are asked, and each message goes to its lane, in order."""
    async with two_nodes() as nodes:
        cluster = Cluster(letting_through=ALL)
        cluster.slots = SlotMap(topology_of(nodes[0]))
        cluster.lanes.slots = cluster.slots
        foo, bar = messages("foo", 20), messages("bar", 20)
        await asyncio.gather(*(cluster.publisher.publish([*pair]) for pair in zip(foo, bar, strict=True)))
    assert cluster.sent() in ([[], bar, foo], [[], foo, bar])
