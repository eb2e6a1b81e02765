"""What the exporter collects metrics from."""

from typing import Protocol

from domainstream.tools.metrics.table import Sample


class Source(Protocol):
    """Something that has metrics to collect."""

    name: str
    """What the label `source` says."""

    async def search(self) -> None:
        """Look for what there is to collect from, which may take long. Raises `DomainStreamError` when that fails."""
        ...

    async def collect(self) -> list[Sample]:
        """Return all samples, once the first search is done. Raises `DomainStreamError` when they cannot be read."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
