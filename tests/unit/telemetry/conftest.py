"""What is recorded in a test."""

from collections.abc import Iterator

import pytest
from support.spans import Recording, recording, undocumented


@pytest.fixture
def recorded() -> Iterator[Recording]:
    """Everything that domainstream reports in this test; no span has an attribute that the table does not list."""
    with recording() as recorded:
        yield recorded
        assert [span.name for span in recorded.spans if undocumented(span)] == []
