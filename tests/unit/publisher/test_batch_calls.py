"""The script call that adds a batch: its arguments and its reply."""

from copy import copy
from datetime import timedelta

from support.publishing import messages

from domainstream import PublisherSettings, Retention
from domainstream.publisher.pending import Batch
from domainstream.publisher.redis_batch_sender import BatchCalls, entry_ids
from domainstream.redis.link import Arguments


def arguments(settings: PublisherSettings) -> Arguments:
    """Return the arguments of a producer's first batch, with one message."""
    batch = Batch("orders")
    batch.messages += messages("orders", 1)
    return BatchCalls(settings).arguments(batch)


def after_the_keys(call: Arguments) -> Arguments:
    """Return the arguments of a call."""
    return call[1 + int(call[0]) :]


def test_limits_that_are_off_are_empty() -> None:
    """A limit of None reaches the script as an empty argument, which it takes as no limit."""
    retention = Retention(max_age=None, max_unread_age=None, max_length=None)
    settings = PublisherSettings(url="", retention=retention, dedup_window=timedelta(minutes=1))
    assert after_the_keys(arguments(settings))[:5] == ("1", "60000", "", "", "")


def test_limits_are_milliseconds_and_entries() -> None:
    """Ages reach the script in milliseconds, the length as a number of entries."""
    retention = Retention(max_unread_age=timedelta(days=1), max_length=1_000_000)
    made = after_the_keys(arguments(PublisherSettings(url="", retention=retention)))
    assert made[2:5] == ("3600000", "86400000", "1000000")


def test_sequence_counts_per_channel() -> None:
    """Each channel's batches are numbered from 1 on their own."""
    calls = BatchCalls(PublisherSettings(url=""))
    sequences = [after_the_keys(calls.arguments(Batch(channel)))[0] for channel in ("orders", "invoices", "orders")]
    assert sequences == ["1", "1", "2"]


def test_every_client_is_remembered_on_its_own() -> None:
    """The last batches of two producers with the same settings are remembered under different keys."""
    settings = PublisherSettings(url="", producer_id="p1")
    assert arguments(settings)[2] != arguments(settings)[2]


def test_key_of_the_last_batch_is_drawn_with_the_first_batch() -> None:
    """Processes that are forked before they publish are different producers."""
    calls = BatchCalls(PublisherSettings(url=""))
    forked = copy(calls)
    assert calls.arguments(Batch("orders"))[2] != forked.arguments(Batch("orders"))[2]


def test_gapless_reply_is_spelled_out() -> None:
    """Of many entries the reply names the first and the last; the ids between follow."""
    assert entry_ids([b"17-3", b"17-6"], 4) == ["17-3", "17-4", "17-5", "17-6"]


def test_reply_with_gaps_names_every_id() -> None:
    """Ids that do not follow each other are all in the reply."""
    assert entry_ids([b"17-3", b"17-4", b"18-0"], 3) == ["17-3", "17-4", "18-0"]
