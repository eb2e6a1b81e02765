"""The example monorepo is clean, and stays so only while all of its parts fit together."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from domainstream.tools.check import check_project, read_project
from domainstream.tools.demo.prerequisites import monorepo

Damage = Callable[[str], str]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the example, without what npm installed."""
    return shutil.copytree(monorepo(), tmp_path / "monorepo", ignore=shutil.ignore_patterns("node_modules"))


def damage(root: Path, name: str, change: Damage) -> None:
    """Change the one file of that name."""
    (path,) = root.rglob(name)
    before = path.read_text(encoding="utf-8")
    path.write_text(change(before), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before


def test_example_is_clean() -> None:
    """`domainstream check examples/monorepo` has nothing to report."""
    assert check_project(monorepo()) == []


def test_example_is_understood() -> None:
    """The example is clean although all of its services, events, mappers, consumers and payloads were read."""
    project = read_project(monorepo())
    assert [service.name for service in project.services] == ["billing", "coding", "screenflow", "valuation"]
    assert len(project.events) == 9
    assert {mapper.service: len(mapper.cases) for mapper in project.mappers} == {
        "coding": 6,
        "screenflow": 2,
        "valuation": 1,
    }
    assert all(mapper.understood for mapper in project.mappers)
    assert sum(len(consumer.handlers) for consumer in project.consumers if consumer.complete) == 8
    assert len(project.shapes) == 9
    assert project.unreadable == ()


@pytest.mark.parametrize(
    ("name", "change", "codes"),
    [
        ("coding_event_producer_mapper.py", lambda text: text.replace("case MedicalStayDrafted", "case Other"), set()),
        (
            "coding_event_producer_mapper.py",
            lambda text: text.replace("        case MedicalStayDrafted():\n            return None", "", 1).replace(
                "  # stays inside the service", ""
            ),
            {"DS301"},
        ),
        ("coding_domain_event.py", lambda text: text.replace("    | MedicalStayDrafted\n", ""), {"DS205"}),
        ("domainstream.toml", lambda _: "", {"DS404"}),
        ("bull_mq_queues.py", lambda text: text.replace('"valuation"', '"valuations"'), set()),
        (
            "valuation_consumer.py",
            lambda text: text.replace("EventConsumer(BullMqQueues.VALUATION", 'EventConsumer("v"'),
            {"DS404"},
        ),
        (
            "screenflow_consumer.py",
            lambda text: text.replace("@consumer.on(MedicalStayCreated, MedicalStayRecoded)", ""),
            {"DS405"},
        ),
        ("run_events.py", lambda text: text.replace("_RUN_FAILED\n", "_RUN_STARTED\n"), {"DS204", "DS305"}),
    ],
)
def test_part_that_does_not_fit_is_found(copy: Path, name: str, change: Damage, codes: set[str]) -> None:
    """A change of one file is reported by what it breaks; one that makes a file unclear is not reported."""
    damage(copy, name, change)
    assert {finding.code for finding in check_project(copy)} == codes
