"""Stores bills in memory, because an example should not need a database."""

from billing.domain_layer.bill import Bill


class InMemoryBills:
    """The latest bill of each stay."""

    def __init__(self) -> None:
        self._bills: dict[str, Bill] = {}

    def save(self, bill: Bill) -> None:
        """Store a bill; it replaces the earlier one of its stay."""
        self._bills[bill.stay_id] = bill

    def of(self, stay_id: str) -> Bill | None:
        """Return the bill of a stay, or None if there is none."""
        return self._bills.get(stay_id)
