"""What both services know: the channel, the event, and who subscribes.

`RELEASE` says which release of the contracts a process was deployed with: release 2 raised the version of the event.
"""

import os
from typing import ClassVar

from domainstream import BaseEvent, EventPayload, EventPublisherChannel
from domainstream.subscriber import create_multiple_handlers, to_queue

RELEASE = int(os.environ.get("RELEASE", "1"))


class Channel(EventPublisherChannel):
    """All channels of the system."""

    DOMAIN_CODING_STAY_CODED = "domain_coding_stay_coded"


class StayCodedPayload(EventPayload):
    """How a stay was coded."""

    code: str
    currency: str


class StayCoded(BaseEvent[StayCodedPayload]):
    """A stay was coded."""

    event_type = "domain_coding_stay_coded"
    version = RELEASE
    upcasters: ClassVar = {older: lambda payload: payload for older in range(1, RELEASE)}


subscriptions = create_multiple_handlers({Channel.DOMAIN_CODING_STAY_CODED: [to_queue("billing", job="bill-stay")]})
