"""`domainstream new subscriber`: who hears of an event, and what is written for it."""

from pathlib import Path

import pytest
from integration.tools.scaffold.sequences import SUBSCRIPTIONS, run, tree


def test_a_queue_of_others_gets_jobs_and_no_handler(clinic: Path) -> None:
    """A Node.js worker, say: the subscription and the job's name are made, and what is left is told."""
    (clinic / "domainstream.toml").write_text('external_queues = ["notifications"]\n')
    before = tree(clinic)
    result = run(clinic, "subscriber", "domain_coding_stay_coded", "notifications", "--job", "announce")
    assert "next: notifications is worked by others: let them handle jobs named announce" in result.stderr
    assert "to_queue(BullMqQueues.NOTIFICATIONS, job=BullMqJobs.ANNOUNCE)," in (clinic / SUBSCRIPTIONS).read_text()
    assert set(tree(clinic)) == set(before)


def test_a_queue_keeps_its_job(clinic: Path) -> None:
    """Without --job, a queue that has the channel already is left as it is."""
    assert run(clinic, "subscriber", "domain_coding_stay_coded", "valuation", "--job", "price").exit_code == 0
    assert "nothing to do" in run(clinic, "subscriber", "domain_coding_stay_coded", "valuation").stderr


def test_events_of_one_name_are_told_apart(clinic: Path) -> None:
    """The second of them is imported under its service's name, too."""
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
def test_a_test_makes_payloads_of_any_shape(clinic: Path, annotation: str, written: bool) -> None:
    """Enums and structs inside of a payload are made, too; where that cannot be, the missing test is told."""
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
