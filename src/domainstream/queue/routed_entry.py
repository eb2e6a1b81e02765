"""One delivery and what becomes of it."""

from msgspec import Struct

from domainstream.queue.job import Job
from domainstream.stream import DeadLetter, Delivery


class RoutedEntry(Struct, frozen=True, gc=False):
    """What is handed over in one piece: all of it, or none and no acknowledgement."""

    delivery: Delivery
    """What was delivered, which is acknowledged at last."""

    jobs: tuple[Job, ...] = ()
    """The jobs it becomes, all with the same data; none when nobody listens."""

    letter: DeadLetter | None = None
    """The dead letter it becomes instead of jobs, or None."""
