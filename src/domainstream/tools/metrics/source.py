"""What the exporter collects metrics from."""

from typing import Protocol

from domainstream.tools.metrics.table import Sample


class Source(Protocol):
    """Something that has metrics to collect."""

    @property
    def name(self) -> str:
        """What the label `source` says."""
        ...

    async def collect(self) -> list[Sample]:
        """Return all samples. Raises `DomainStreamError` when they cannot be read."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
