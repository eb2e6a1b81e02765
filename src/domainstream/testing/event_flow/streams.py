"""The streams of a flow, in memory, and the publisher that adds to them."""

from collections.abc import Sequence
from datetime import timedelta

from domainstream.errors import PublisherClosedError
from domainstream.health import Health
from domainstream.producer import OutgoingMessage
from domainstream.receipt import Outcome, Receipt
from domainstream.stream import MemoryStreams
from domainstream.testing.event_flow.clock import FlowClock


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


class FlowPublisher:
    """Adds what is published to the streams of a flow; implements `EventPublisher`."""

    def __init__(self, streams: FlowStreams) -> None:
        """Publish into `streams`."""
        self.published: dict[str, list[OutgoingMessage]] = {}
        """The messages of each channel that has any, oldest first."""
        self._streams = streams
        self._closed = False

    async def publish(self, messages: Sequence[OutgoingMessage]) -> list[Receipt]:
        """Add the messages at once; see `EventPublisher.publish`."""
        if self._closed:
            raise PublisherClosedError("the flow is closed; publish inside its `async with` block")
        return [self._add(message) for message in messages]

    async def health(self) -> Health:
        """Return whether it is open."""
        if self._closed:
            return Health(ok=False, problem="the flow is closed")
        return Health(ok=True, round_trip=timedelta())

    async def close(self) -> None:
        """Refuse new messages. Closing twice does nothing."""
        self._closed = True

    def _add(self, message: OutgoingMessage) -> Receipt:
        channel = str(message.channel)
        self.published.setdefault(channel, []).append(message)
        entry_id = self._streams.add(channel, message.data)
        return Receipt(event_id=message.event_id, outcome=Outcome.PUBLISHED, channel=channel, entry_id=entry_id)
