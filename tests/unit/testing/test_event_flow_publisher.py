"""The publisher of a flow keeps the contract of the port."""

import pytest
from support.event_flows import subscriptions_to

from domainstream.testing.event_flow import EventFlow
from domainstream.testing.publisher_contract import Entry, PublisherContract, PublisherHarness


class TestFlowPublisher(PublisherContract):
    """The publisher that tests of whole flows use."""

    @pytest.fixture
    def harness(self) -> PublisherHarness:
        """Give a flow's publisher, whose entries are those of the flow's streams."""
        flow = EventFlow(subscriptions_to())

        async def read(channel: str) -> list[Entry]:
            return [(entry.entry_id, entry.data or b"") for entry in flow.streams.entries.get(channel, [])]

        return PublisherHarness(flow.publisher, read)
