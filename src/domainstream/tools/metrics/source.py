"""What the exporter collects metrics from."""

from collections.abc import Sequence
from typing import Protocol

from domainstream.errors import DomainStreamError
from domainstream.tools.metrics.table import Sample


class PartlyCollectedError(DomainStreamError):
    """Some nodes of a cluster do not answer."""

    def __init__(self, samples: Sequence[Sample], reason: str) -> None:
        self.samples = samples
        """What the others have."""
        super().__init__(reason)


class Source(Protocol):
    """Something that has metrics to collect."""

    name: str
    """What the label `source` says."""

    async def search(self) -> None:
        """Look for what there is to collect from, which may take long. Raises `DomainStreamError` when that fails."""
        ...

    async def collect(self) -> list[Sample]:
        """Return all samples, once the first search is done.

        Raises `PartlyCollectedError` with some of them, `DomainStreamError` when none can be read.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
