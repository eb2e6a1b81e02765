"""What queues of a channel have lost, before anything is added again."""

from typing import Any

from domainstream.queue import ChannelEpoch, QueueBehindError
from domainstream.stream import Lease
from domainstream.subscriber.lost_jobs import LostJobs
from domainstream.subscriber.parts import HandOverParts

LEASE = Lease(
    epoch=2,
    last_delivered="7-1",
    owner_before="",
    is_resumed=False,
    epoch_before=1,
    token="11111111",  # noqa: S106 - of a stream
    token_before="",
)
PARTS: Any = HandOverParts(reader=object(), adder=object(), router=object(), progress=object())  # type: ignore[arg-type]


def lost_of(**reached: str) -> tuple[LostJobs, ChannelEpoch]:
    """Return what is lost of a channel whose queues have got to these entries."""
    epoch = ChannelEpoch(mark="mark", epoch=2, queues=["valuation"], reached=reached)
    return LostJobs("channel", LEASE, epoch, PARTS), epoch


def test_queue_that_is_behind_what_it_had() -> None:
    """A queue whose mark has fallen behind what was added in this epoch has lost that."""
    lost, epoch = lost_of(valuation="7-1")
    lost.note_behind(QueueBehindError("valuation", "5-1"))
    assert lost
    assert epoch.reached == {}  # so that the next call does not expect it there


def test_queue_that_lost_the_first_part_of_the_first_batch() -> None:
    """What a queue loses while the first batch of an epoch is being added comes with that batch again."""
    lost, epoch = lost_of()
    lost.note_behind(QueueBehindError("valuation", "0-0"))
    assert not lost
    assert epoch.reached == {}
