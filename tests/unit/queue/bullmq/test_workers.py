"""Which worker a connection belongs to, by its name."""

from base64 import b64encode

import pytest

from domainstream.queue.bullmq.workers import WorkerName, worker_of

BILLING = b64encode(b"billing").decode()


def test_worker_is_known_by_its_queue() -> None:
    """BullMQ puts the queue into the name of a worker's connection, in base64."""
    assert worker_of(f"shop:{BILLING}", bull_prefix="shop") == WorkerName("billing", "")


def test_worker_with_a_name_of_its_own_keeps_it() -> None:
    """A worker's own name follows."""
    assert worker_of(f"shop:{BILLING}:w:night shift", bull_prefix="shop") == WorkerName("billing", "night shift")


@pytest.mark.parametrize(
    "name",
    ["", "shop:", f"shop:{BILLING}:qe", f"other:{BILLING}", "shop:not base64", "domainstream-worker", "shop:/w=="],
)
def test_any_other_connection_is_no_worker(name: str) -> None:
    """Listeners to events, other prefixes and whatever has a name of another kind are left out."""
    assert worker_of(name, bull_prefix="shop") is None
