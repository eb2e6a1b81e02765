"""The streams on a real server keep the contracts of the ports."""

from domainstream.testing.dead_letter_contract import DeadLetterContract
from domainstream.testing.stream_contract import StreamContract


class TestRedisStream(StreamContract):
    """The contract of readers, on each kind of server."""


class TestRedisDeadLetters(DeadLetterContract):
    """The contract of dead letters, on each kind of server."""
