"""Metrics as Prometheus reads them."""

import asyncio
from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families
from support.consuming import PATIENCE

from domainstream.tools.metrics.exposition import exposition
from domainstream.tools.metrics.table import Sample

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraped:
    """What an answer to a scrape says."""

    def __init__(self, text: str) -> None:
        """Parse the text; a metric that is there twice is an error."""
        self.text = text
        """The text."""
        families = [*text_string_to_metric_families(text)]
        names = [family.name for family in families]
        assert len(names) == len(set(names))
        self._values: Values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Scraped":
        """Write samples as text, and parse that."""
        return cls(exposition(samples, with_process=False).decode())

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric with these labels; None if there is none."""
        return self._values.get((name, frozenset(labels.items())))

    def labels(self) -> set[str]:
        """Return the values of all labels."""
        return {value for _, labels in self._values for _, value in labels}


async def scrape(url: str) -> Scraped:
    """Ask for the metrics beside a health endpoint's URL, as Prometheus does."""
    host, _, _ = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head, answer
    assert b"Content-Type: text/plain; version=" in head
    return Scraped(body.decode())
