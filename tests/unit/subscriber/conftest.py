"""What the tests of subscribers share."""

from datetime import timedelta
from functools import partial

import pytest

from domainstream.retrying import Backoff
from domainstream.subscriber import channel_hand_over, stream_shares


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a hand-over pause for milliseconds only, after a failure or while another has its lease."""
    monkeypatch.setattr(stream_shares, "HELD_LOOK", 0.005)
    monkeypatch.setattr(
        channel_hand_over, "Backoff", partial(Backoff, timedelta(milliseconds=1), timedelta(milliseconds=5))
    )


@pytest.fixture(autouse=True)
def acknowledge_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an idle channel acknowledge after milliseconds."""
    monkeypatch.setattr(channel_hand_over, "ACKNOWLEDGE_WITHIN", 0.01)
