"""Maps each event of screenflow to its channel, or to None if it stays inside the service."""

from typing import assert_never

from contracts.event_publisher_channels import Channel
from screenflow.domain_layer.run.run_events import RunFailed, RunStarted
from screenflow.domain_layer.screenflow_domain_event import ScreenflowDomainEvent


def channel_for(event: ScreenflowDomainEvent) -> Channel | None:
    """Return the channel of `event`, or None if it is not published."""
    match event:
        case RunStarted():
            return Channel.DOMAIN_SCREENFLOW_RUN_STARTED
        case RunFailed():
            return Channel.DOMAIN_SCREENFLOW_RUN_FAILED
        case _:
            assert_never(event)
