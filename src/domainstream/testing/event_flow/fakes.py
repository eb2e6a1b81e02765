"""What a flow has in place of servers and real time: a clock, streams, a publisher, a schedule of jobs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Final

from msgspec import Struct

from domainstream.errors import PublisherClosedError
from domainstream.health import Health
from domainstream.producer import OutgoingMessage
from domainstream.publisher.memory import simulated_replicas
from domainstream.queue import Job
from domainstream.receipt import Outcome, Receipt
from domainstream.settings import Confirm
from domainstream.stream import Lease, MemoryStreamReader, MemoryStreams, Turn
from domainstream.stream.port import NOTHING, Read
from domainstream.validation import plain_name

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


class FlowClock:
    """The clock of one flow, which advances only on request."""

    def __init__(self, now: datetime | None) -> None:
        """Begin at `now`; None is the real time, to the millisecond."""
        self.now = (now or EPOCH + timedelta(milliseconds=milliseconds_of(datetime.now(UTC)))).astimezone(UTC)
        """The time, aware and in UTC."""

    def seconds(self) -> float:
        """Return the time in seconds since 1970."""
        return self.now.timestamp()

    def milliseconds(self) -> int:
        """Return the time in milliseconds since 1970."""
        return milliseconds_of(self.now)

    def after(self, delay: timedelta) -> datetime:
        """Return when a delay that begins now ends, at the latest the last moment of the calendar."""
        return self.now + min(delay, _LAST - self.now)

    def pass_until(self, then: datetime) -> None:
        """Advance to `then`, which is not before now."""
        self.now = then


def milliseconds_of(moment: datetime) -> int:
    """Return an aware moment in whole milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


class FlowStreams(MemoryStreams):
    """`MemoryStreams` whose entry ids are the time of the flow, as a server's are its time."""

    def __init__(self, clock: FlowClock) -> None:
        """Take the time from `clock`."""
        super().__init__(clock=clock.seconds)
        self._milliseconds = clock.milliseconds
        self._newest = (0, 0)

    def next_id(self) -> str:
        """Return an id that is greater than all before: the milliseconds, and a sequence number."""
        now, (before, number) = self._milliseconds(), self._newest
        self._newest = (now, 0) if now > before else (before, number + 1)
        return "{}-{}".format(*self._newest)


class FlowReader(MemoryStreamReader):
    """A reader of what there is, for somebody who would wait for more."""

    def __init__(
        self, streams: MemoryStreams, *, group: str, on_entries: Callable[[], None], at_end: Callable[[], None]
    ) -> None:
        """Call `on_entries` when something new was read, and `at_end` when there is nothing."""
        super().__init__(streams, group=group)
        self._on_entries, self._at_end = on_entries, at_end

    async def turn(
        self,
        channel: str,
        lease: Lease,
        read: Read,
        acknowledge: Sequence[str] = (),
        *,
        reached: Mapping[str, str] = NOTHING,
        after: str = "0-0",
        count: int = 1,
    ) -> Turn:
        """Take a turn at a channel; see `StreamReader.turn`."""
        turn = await super().turn(channel, lease, read, acknowledge, reached=reached, after=after, count=count)
        if read == "new":
            (self._on_entries if turn.deliveries else self._at_end)()
        return turn


class FlowPublisher:
    """Adds what is published to the streams of a flow; implements `EventPublisher`."""

    def __init__(self, streams: FlowStreams) -> None:
        """Publish into `streams`."""
        self.published: dict[str, list[OutgoingMessage]] = {}
        """The messages of each channel that has any, oldest first."""
        self._streams = streams
        self._closed = False

    async def publish(self, messages: Sequence[OutgoingMessage], *, confirm: Confirm | None = None) -> list[Receipt]:
        """Add the messages at once; see `EventPublisher.publish`."""
        if self._closed:
            raise PublisherClosedError("the flow is closed; publish inside its `async with` block")
        confirmed_by = simulated_replicas(confirm)
        receipts = []
        for message in messages:
            channel = plain_name(message.channel)
            self.published.setdefault(channel, []).append(message)
            entry_id = self._streams.add(channel, message.data)
            receipts.append(
                Receipt(
                    event_id=message.event_id,
                    outcome=Outcome.PUBLISHED,
                    channel=channel,
                    entry_id=entry_id,
                    confirmed_by=confirmed_by,
                )
            )
        return receipts

    async def health(self) -> Health:
        """Return whether it is open."""
        if self._closed:
            return Health(ok=False, problem="the flow is closed")
        return Health(ok=True, round_trip=timedelta())

    async def close(self) -> None:
        """Refuse new messages. Closing twice does nothing."""
        self._closed = True


class ScheduledJob(Struct, frozen=True):
    """A job that is due at some time."""

    job: Job
    """The job."""

    added_at: datetime
    """When it was added to its queue."""

    attempt: int = 1
    """The number of the next attempt, from 1."""

    waits: int = 0
    """How often it was put back without using an attempt."""

    is_repeat: bool = False
    """Whether it was completed before."""


class JobSchedule:
    """Jobs that wait, in the order in which one worker would take them.

    Decides which job is next, and when, as the server of a queue does: due jobs are ordered by priority, as in BullMQ,
    and then by when they became due.
    """

    def __init__(self) -> None:
        self._due: list[tuple[int, int, ScheduledJob]] = []
        self._later: list[tuple[datetime, int, ScheduledJob]] = []
        self._numbers = count()

    @property
    def next_due(self) -> datetime | None:
        """When the next of the jobs that are not due yet will be due; None if there are none."""
        return self._later[0][0] if self._later else None

    def add(self, waiting: ScheduledJob, due: datetime) -> None:
        """Add a job that is due at `due`."""
        heappush(self._later, (due, next(self._numbers), waiting))

    def add_first(self, waiting: ScheduledJob) -> None:
        """Add a job without priority that is due now and comes before all others."""
        heappush(self._due, (0, -next(self._numbers), waiting))

    def take(self, now: datetime) -> ScheduledJob | None:
        """Remove and return the next job; None when none is due."""
        while self._later and self._later[0][0] <= now:
            _, _, waiting = heappop(self._later)
            heappush(self._due, (waiting.job.settings.priority, next(self._numbers), waiting))
        return heappop(self._due)[-1] if self._due else None
