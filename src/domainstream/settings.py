"""Settings that several stages share. A stage's own settings live in the stage."""

from dataclasses import dataclass
from datetime import timedelta

from domainstream.validation import at_most, positive_fields, raise_problems


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageLimits:
    """What a message may be, on the way out and on the way in."""

    max_bytes: int = 256 * 1024
    """The largest message, in bytes of JSON. Defaults to 262,144 (256 KiB)."""

    max_depth: int = 32
    """How deep arrays and objects may nest, the envelope being the first level. Defaults to 32."""

    max_containers: int = 10_000
    """How many arrays and objects a message may hold; many cost a reader much more than their bytes tell. Defaults to
    10,000.
    """

    strict_integers: bool = True
    """Refuse integers beyond ±(2^53 - 1), which Node.js would round. Defaults to True."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for limits below one."""
        raise_problems("MessageLimits", positive_fields(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How long and how often a batch is tried again."""

    deadline: timedelta = timedelta(seconds=10)
    """From the first attempt to giving up. Defaults to 10 seconds."""

    attempt_timeout: timedelta = timedelta(seconds=2)
    """How long one attempt may wait for its reply. Defaults to 2 seconds."""

    first_delay: timedelta = timedelta(milliseconds=20)
    """The longest first pause; each pause is drawn at random between half of it and all of it, and the next one's
    longest is twice as long. Defaults to 20 milliseconds.
    """

    longest_delay: timedelta = timedelta(seconds=1)
    """Where doubling ends. Defaults to 1 second."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for durations of zero or less, or that contradict each other."""
        raise_problems("RetryPolicy", [*positive_fields(self), at_most(self, "first_delay", "longest_delay")])
