"""Every event of the screenflow service."""

from typing import TypeAlias

from screenflow.domain_layer.run.run_events import RunFailed, RunStarted

ScreenflowDomainEvent: TypeAlias = RunStarted | RunFailed
"""If the mapper misses one of these classes, the type checker reports it there."""
