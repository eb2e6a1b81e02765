"""`domainstream new subscriber`: subscriptions, handlers, and their tests."""

from pathlib import Path

import pytest
from integration.tools.scaffold.sequences import SUBSCRIPTIONS, run, tree


def test_queue_with_external_worker_gets_no_handler(clinic: Path) -> None:
    """For an external worker, the subscription and the job name are made, and the remaining step is reported."""
    (clinic / "domainstream.toml").write_text('external_queues = ["notifications"]\n')
    before = tree(clinic)
    result = run(clinic, "subscriber", "domain_coding_stay_coded", "notifications", "--job", "announce")
    assert "next: notifications has an external worker: let it handle jobs named announce" in result.stderr
    assert "to_queue(BullMqQueues.NOTIFICATIONS, job=BullMqJobs.ANNOUNCE)," in (clinic / SUBSCRIPTIONS).read_text()
    assert set(tree(clinic)) == set(before)


def test_queue_keeps_its_job(clinic: Path) -> None:
    """Without `--job`, a queue that is already subscribed to the channel keeps its job."""
    assert run(clinic, "subscriber", "domain_coding_stay_coded", "valuation", "--job", "price").exit_code == 0
    assert "nothing to do" in run(clinic, "subscriber", "domain_coding_stay_coded", "valuation").stderr


def test_events_of_the_same_name_get_an_alias(clinic: Path) -> None:
    """The second of two events of the same name is imported under an alias with its service's name."""
    assert run(clinic, "event", "valuation", "stay", "coded").exit_code == 0
    for service in ("coding", "valuation"):
        assert run(clinic, "subscriber", f"domain_{service}_stay_coded", "valuation", "--job", service).exit_code == 0
    consumer = (
        clinic / "services/valuation/src/valuation/infrastructure_layer/consumers/valuation_consumer.py"
    ).read_text()
    assert "stay_events import StayCoded\n" in consumer
    assert "stay_events import StayCoded as ValuationStayCoded\n" in consumer
    assert "async def valuation(event: ValuationStayCoded, context" in consumer


PAYLOAD = """
from enum import StrEnum
from domainstream import EventPayload

class Ward(StrEnum):
    NORTH = "north"

class Stay(EventPayload):
    ward: Ward
    codes: tuple[str, ...]

"""


@pytest.mark.parametrize(
    ("annotation", "written"), [("Stay | None", True), ("dict[str, Stay]", True), ("complex", False)]
)
def test_generated_test_has_an_example_payload(clinic: Path, annotation: str, written: bool) -> None:
    """The test's payload has examples of enums and structs; the missing test is reported for an unknown type."""
    events = clinic / "services/coding/src/coding/domain_layer/stay/stay_events.py"
    events.write_text(PAYLOAD + events.read_text().replace("    id: str\n", f"    id: str\n    stay: {annotation}\n"))
    result = run(clinic, "subscriber", "domain_coding_stay_coded", "valuation", "--job", "price")
    test = clinic / "services/valuation/tests/test_price_job.py"
    assert result.exit_code == 0
    assert test.is_file() == written
    if written:
        assert 'Stay(ward=Ward("north"), codes=("codes",))' in test.read_text()
    else:
        assert "next: write a test of job price: no example of the type complex is known" in result.stderr


def test_queue_keeps_its_partitions(clinic: Path) -> None:
    """A second subscription of a queue gets the number of partitions that the first one says."""
    for event in ("opened", "closed"):
        assert run(clinic, "event", "coding", "stay", event).exit_code == 0
    assert run(clinic, "subscriber", "domain_coding_stay_opened", "valuation", "--job", "open").exit_code == 0
    subscriptions = clinic / SUBSCRIPTIONS
    subscriptions.write_text(subscriptions.read_text().replace("BullMqJobs.OPEN)", "BullMqJobs.OPEN, partitions=8)"))
    assert run(clinic, "subscriber", "domain_coding_stay_closed", "valuation", "--job", "close").exit_code == 0
    assert "job=BullMqJobs.CLOSE, partitions=8)" in subscriptions.read_text()
