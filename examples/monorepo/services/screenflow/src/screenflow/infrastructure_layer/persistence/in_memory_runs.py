"""Stores the outcome of runs in memory, because an example should not need a database."""


class InMemoryRuns:
    """The results of screened stays, as reported by coding."""

    def __init__(self) -> None:
        self.diagnosis_groups: dict[str, str] = {}
        """The diagnosis group of each stay."""
