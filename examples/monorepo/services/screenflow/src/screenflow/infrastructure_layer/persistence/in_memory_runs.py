"""The outcome of runs, kept in memory: an example needs no database."""


class InMemoryRuns:
    """What coding made of the stays that were screened."""

    def __init__(self) -> None:
        self.diagnosis_groups: dict[str, str] = {}
        """The diagnosis group by stay."""
