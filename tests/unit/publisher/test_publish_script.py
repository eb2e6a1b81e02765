"""The script call's arguments and reply."""

from copy import copy
from datetime import timedelta

from support.publishing import messages

from domainstream import PublisherSettings, Retention
from domainstream.publisher.batch import Batch
from domainstream.publisher.publish_script import Command, PublishScript, entry_ids, with_text


def command(settings: PublisherSettings) -> Command:
    """Make the command of a producer's first batch, with one message."""
    batch = Batch("orders")
    batch.messages += messages("orders", 1)
    return PublishScript(settings).command(batch)


def test_limits_that_are_off_are_empty() -> None:
    """A limit of None reaches the script as an empty argument, which it takes as no limit."""
    retention = Retention(max_age=None, max_unread_age=None, max_length=None)
    settings = PublisherSettings(url="", retention=retention, memory=timedelta(minutes=1))
    assert command(settings)[5:10] == ("1", "60000", "", "", "")


def test_limits_are_milliseconds_and_entries() -> None:
    """Ages reach the script in milliseconds, the length as a number of entries."""
    assert command(PublisherSettings(url=""))[7:10] == ("3600000", "86400000", "1000000")


def test_the_sequence_counts_per_channel() -> None:
    """Each channel's batches are numbered from 1 on their own."""
    script = PublishScript(PublisherSettings(url=""))
    sequences = [script.command(Batch(channel))[5] for channel in ("orders", "invoices", "orders")]
    assert sequences == ["1", "1", "2"]


def test_every_client_has_a_memory_of_its_own() -> None:
    """Two producers of the same settings are remembered under different keys."""
    settings = PublisherSettings(url="", producer_id="p1")
    assert command(settings)[4] != command(settings)[4]


def test_the_memory_is_drawn_with_the_first_batch() -> None:
    """Processes that are forked before they publish are different producers."""
    script = PublishScript(PublisherSettings(url=""))
    forked = copy(script)
    assert script.command(Batch("orders"))[4] != forked.command(Batch("orders"))[4]


def test_a_repeat_with_the_text_has_the_same_arguments() -> None:
    """The call that brings the script's text differs in nothing else, so the server recognises it."""
    original = command(PublisherSettings(url=""))
    assert with_text(original)[2:] == original[2:]


def test_a_gapless_reply_is_spelled_out() -> None:
    """Of many entries the reply names the first and the last; the ids between follow."""
    assert entry_ids([b"17-3", b"17-6"], 4) == ["17-3", "17-4", "17-5", "17-6"]


def test_a_reply_with_gaps_names_every_id() -> None:
    """Ids that do not follow each other are all in the reply."""
    assert entry_ids([b"17-3", b"17-4", b"18-0"], 3) == ["17-3", "17-4", "18-0"]
