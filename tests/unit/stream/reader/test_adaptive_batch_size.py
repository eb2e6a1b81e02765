"""How many entries to ask for is learned from the replies."""

from domainstream.stream import Delivery, ReaderSettings
from domainstream.stream.reader.batch_size import AdaptiveBatchSize

SETTINGS = ReaderSettings(max_entries=1_000, max_bytes=1_000_000)


def reply(entries: int, size: int = 100) -> list[Delivery]:
    """Return so many entries."""
    return [Delivery("channel", "1-0", b"x" * size)] * entries


def test_it_begins_small() -> None:
    """Before anything is known, neither large entries nor a small limit are exceeded by far."""
    settings = [SETTINGS, ReaderSettings(max_entries=5)]
    assert [AdaptiveBatchSize(each).count for each in settings] == [16, 5]


def test_full_replies_grow_twofold_up_to_the_limit() -> None:
    """A backlog of small entries is soon read in as few replies as the limit allows."""
    size = AdaptiveBatchSize(SETTINGS)
    counts = []
    for _ in range(8):
        size.learn(reply(size.count))
        counts.append(size.count)
    assert counts == [32, 64, 128, 256, 512, 1_000, 1_000, 1_000]


def test_replies_with_room_left_change_nothing() -> None:
    """When a channel did not give all it was asked for, asking for more would bring nothing."""
    size = AdaptiveBatchSize(SETTINGS)
    for found in (reply(3), [], reply(15)):
        size.learn(found)
        assert size.count == 16


def test_large_entries_shrink_in_proportion() -> None:
    """After a reply ten times as large as it may be, a tenth is asked for; one entry always is."""
    size = AdaptiveBatchSize(SETTINGS)
    size.count = 100
    size.learn(reply(100, 100_000))
    assert size.count == 10
    size.learn(reply(10, 10_000_000))
    assert size.count == 1


def test_growing_looks_at_bytes_too() -> None:
    """A reply grows only as far as its bytes allow."""
    size = AdaptiveBatchSize(SETTINGS)
    size.learn(reply(16, 50_000))
    assert size.count == 20


def test_other_fields_count() -> None:
    """Entries of a foreign producer are as large as all of their fields."""
    size = AdaptiveBatchSize(SETTINGS)
    size.learn([Delivery("channel", "1-0", None, other=((b"theirs", b"x" * 500_000),))] * 16)
    assert size.count == 2
