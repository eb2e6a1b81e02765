"""How many entries to ask for is learned from the replies."""

from domainstream.stream import Delivery, ReaderSettings
from domainstream.stream.reader.batch_size import AdaptiveBatchSize

SETTINGS = ReaderSettings(max_entries=1_000, max_bytes=1_000_000)


def reply(entries: int, size: int = 100, channels: int = 1) -> list[Delivery]:
    """Return so many entries of each channel."""
    return [Delivery(f"channel_{number}", "1-0", b"x" * size) for number in range(channels) for _ in range(entries)]


def test_it_begins_small() -> None:
    """Before anything is known, neither large entries nor many full channels go far beyond the limits."""
    assert [AdaptiveBatchSize(SETTINGS, channels).count for channels in (1, 2, 100, 5_000)] == [16, 16, 10, 1]


def test_full_replies_grow_twofold_up_to_the_limit() -> None:
    """A backlog of small entries is soon read in as few replies as the limit allows."""
    size = AdaptiveBatchSize(SETTINGS, 1)
    counts = []
    for _ in range(8):
        size.learn(reply(size.count), size.count)
        counts.append(size.count)
    assert counts == [32, 64, 128, 256, 512, 1_000, 1_000, 1_000]


def test_replies_with_room_left_change_nothing() -> None:
    """When no channel gave all it was asked for, asking for more would bring nothing."""
    size = AdaptiveBatchSize(SETTINGS, 1)
    for found in (reply(3), [], reply(15)):
        size.learn(found, len(found))
        assert size.count == 16


def test_large_entries_shrink_in_proportion() -> None:
    """After a reply ten times as large as it may be, a tenth is asked for; one entry always is."""
    size = AdaptiveBatchSize(SETTINGS, 1)
    size.count = 100
    size.learn(reply(100, 100_000), 100)
    assert size.count == 10
    size.learn(reply(10, 10_000_000), 10)
    assert size.count == 1


def test_growing_looks_at_bytes_too() -> None:
    """A reply grows only as far as its bytes allow."""
    size = AdaptiveBatchSize(SETTINGS, 1)
    size.learn(reply(16, 50_000), 16)
    assert size.count == 20


def test_many_full_channels_shrink_each_share() -> None:
    """When all channels turn out to be busy, each gives less, so that all together keep the limit."""
    size = AdaptiveBatchSize(SETTINGS, 10)
    size.count = 1_000
    size.learn(reply(1_000, 1, channels=10), 1_000)
    assert size.count == 100
