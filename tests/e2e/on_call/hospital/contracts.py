"""What both services know: the channel, the event, and who subscribes.

`RELEASE` says which release of the event a process was deployed with: release 2 added the currency.
"""

import os
from typing import ClassVar

from domainstream import BaseEvent, EventPayload, EventPublisherChannel
from domainstream.subscriber import create_multiple_handlers, to_queue

RELEASE = int(os.environ.get("RELEASE", "1"))


class Channel(EventPublisherChannel):
    """All channels of the system."""

    DOMAIN_CODING_STAY_CODED = "domain_coding_stay_coded"


class FirstPayload(EventPayload):
    """What release 1 says about a coded stay."""

    code: str


class SecondPayload(FirstPayload):
    """What release 2 says about a coded stay."""

    currency: str


if RELEASE == 1:

    class StayCoded(BaseEvent[FirstPayload]):
        """A stay was coded."""

        event_type = "domain_coding_stay_coded"

else:

    class StayCoded(BaseEvent[SecondPayload]):  # type: ignore[no-redef]
        """A stay was coded."""

        event_type = "domain_coding_stay_coded"
        version = 2
        upcasters: ClassVar = {1: lambda payload: {**payload, "currency": "EUR"}}


subscriptions = create_multiple_handlers({Channel.DOMAIN_CODING_STAY_CODED: [to_queue("billing", job="bill-stay")]})
