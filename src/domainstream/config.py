"""Settings that several stages share: frozen, checked when they are made, all problems reported at once.

Each field says what it is, its unit, its special values and its default. A stage's own settings live in the stage.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from domainstream.errors import ConfigurationError

ZERO = timedelta()


def refuse(what: str, problems: Iterable[str | None]) -> None:
    """Raise one `ConfigurationError` naming every problem, if there is any.

    `problems` holds a sentence for each check that failed and None for each that passed.
    """
    found = [problem for problem in problems if problem is not None]
    if found:
        raise ConfigurationError(f"{what} cannot be used:", found)


def positive(name: str, value: timedelta | float | None) -> str | None:
    """Say what is wrong with a number or duration that must be above zero; None switches a limit off."""
    if value is None:
        return None
    zero = ZERO if isinstance(value, timedelta) else 0
    return None if value > zero else f"{name} is {value}, expected more than zero"  # type: ignore[operator]


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageLimits:
    """What a message may be, on the way out and on the way in.

    Attributes:

        max_bytes: The largest message, in bytes of JSON. Defaults to 262,144 (256 KiB).

        max_depth: How deep arrays and objects may nest, the envelope being the first level. Defaults to 32.

        strict_integers: Refuse integers beyond ±(2^53 − 1), which Node.js would round. Defaults to True.
    """

    max_bytes: int = 256 * 1024
    max_depth: int = 32
    strict_integers: bool = True

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for limits below one."""
        refuse("MessageLimits", [positive("max_bytes", self.max_bytes), positive("max_depth", self.max_depth)])


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How long and how often a batch is tried again.

    Attributes:

        deadline: From the first attempt to giving up. Defaults to 10 seconds.

        attempt_timeout: How long one attempt may wait for its reply. Defaults to 2 seconds.

        first_delay: The longest first pause; each pause is drawn at random between half of it and all of it, and the
            next one's longest is twice as long. Defaults to 20 milliseconds.

        longest_delay: Where doubling ends. Defaults to 1 second.
    """

    deadline: timedelta = timedelta(seconds=10)
    attempt_timeout: timedelta = timedelta(seconds=2)
    first_delay: timedelta = timedelta(milliseconds=20)
    longest_delay: timedelta = timedelta(seconds=1)

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for durations of zero or less, or that contradict each other."""
        durations = ("deadline", "attempt_timeout", "first_delay", "longest_delay")
        refuse(
            "RetryPolicy",
            [
                *(positive(name, getattr(self, name)) for name in durations),
                f"first_delay ({self.first_delay}) is longer than longest_delay ({self.longest_delay})"
                if self.first_delay > self.longest_delay
                else None,
            ],
        )
