"""Every event of the screenflow service."""

from typing import TypeAlias

from screenflow.domain_layer.run.run_events import RunFailed, RunStarted

ScreenflowDomainEvent: TypeAlias = RunStarted | RunFailed
"""A class that is missing in the mapper fails the type check there."""
