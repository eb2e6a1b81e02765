"""The order of a queue's jobs is understood as it is written, and what is not plain is not reported."""

from pathlib import Path

import pytest
from support.checking import SUBSCRIPTIONS, small_system, write_system

from domainstream.tools.check import check_project
from domainstream.tools.check.findings import Finding

CHANNEL = "Channel.DOMAIN_CODING_STAY_CREATED"
IMPORTS = """\
from dataclasses import replace
from datetime import timedelta

from contracts.event_publisher_channels import Channel
from domainstream import subscriber
from domainstream.queue import JobSettings
from domainstream.subscriber import AGGREGATE, PARTITION_KEY, create_multiple_handlers, to_queue
from domainstream.subscriber.subscriptions import AGGREGATE as BY_AGGREGATE
from elsewhere import by_code, unknown


def by_stay(event):
    return event.subject


BY_ID = by_stay
CODE = lambda event: event.id
HOLD = "hold"
MADE = by_code("code")
NO_ORDER = None
DAY = timedelta(days=1)
KEPT = None
EXPIRING = JobSettings(priority=1, keep_failed=DAY)
"""


def findings(tmp_path: Path, *handlers: str) -> list[Finding]:
    """Return what is wrong with a queue whose jobs these arguments of `to_queue` describe."""
    calls = ", ".join(f'to_queue("coding", job="job-{number}", {given})' for number, given in enumerate(handlers))
    table = f"{IMPORTS}\nsubscriptions = create_multiple_handlers({{{CHANNEL}: [{calls}]}})\n"
    return check_project(write_system(tmp_path, small_system() | {SUBSCRIPTIONS: table}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", "order_by=AGGREGATE"),
        ("order_by=None", "order_by=AGGREGATE"),
        ("order_by=NO_ORDER", "order_by=AGGREGATE"),
        ("order_by=AGGREGATE", "order_by=PARTITION_KEY"),
        ("order_by=AGGREGATE", "order_by=by_stay"),
        ("order_by=AGGREGATE", 'order_by=AGGREGATE, on_failure="skip"'),
        ("order_by=lambda event: event.id", "order_by=lambda event: event.id"),
    ],
)
def test_queue_with_two_orders_is_found(tmp_path: Path, one: str, other: str) -> None:
    """It is reported at the second subscription, with both orders and the place of the first."""
    # Lambdas are told apart by their lines.
    found = findings(tmp_path, one, f"\n{other}")
    assert [finding.code for finding in found] == ["DS411"]
    assert f"{SUBSCRIPTIONS}:" in found[0].message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order_by=AGGREGATE", "order_by=subscriber.AGGREGATE"),
        ("order_by=AGGREGATE", "order_by=BY_AGGREGATE"),
        ("order_by=AGGREGATE", "order_by=AGGREGATE, on_failure=HOLD"),
        ("order_by=by_stay", "order_by=BY_ID"),
        ("order_by=CODE", "order_by=CODE"),
        ('on_failure="skip"', ""),
    ],
)
def test_one_order_is_one_however_it_is_spelled(tmp_path: Path, one: str, other: str) -> None:
    """Imports, assignments and defaults are followed."""
    assert findings(tmp_path, one, other) == []


@pytest.mark.parametrize(
    "unread", ["**unknown", "order_by=MADE", "order_by=by_code(1)", "order_by=AGGREGATE, on_failure=unknown()"]
)
def test_order_that_is_not_plain_is_not_reported(tmp_path: Path, unread: str) -> None:
    """Only running the code would tell whether it is another one."""
    assert findings(tmp_path, "order_by=AGGREGATE", unread) == []


def test_orders_of_two_tables_are_compared(tmp_path: Path) -> None:
    """A queue that gets jobs by the subscriptions of two programs needs one order in both."""
    tables = "".join(
        f'{name} = create_multiple_handlers({{{CHANNEL}: [to_queue("coding", job="{name}"{rule})]}})\n'
        for name, rule in (("one", ""), ("two", ", order_by=AGGREGATE"))
    )
    found = check_project(write_system(tmp_path, small_system() | {SUBSCRIPTIONS: IMPORTS + tables}))
    assert [finding.code for finding in found] == ["DS411"]


@pytest.mark.parametrize(
    "settings",
    ["EXPIRING", "JobSettings(keep_failed=timedelta(1), priority=1)", "JobSettings(keep_failed=DAY, priority=2)"],
)
def test_failed_job_that_expires_is_found_where_it_holds_others(tmp_path: Path, settings: str) -> None:
    """With "skip" it holds none, and without an order neither."""
    assert [one.code for one in findings(tmp_path, f"order_by=AGGREGATE, settings={settings}")] == ["DS412"]
    assert findings(tmp_path, f'order_by=AGGREGATE, settings={settings}, on_failure="skip"') == []
    assert findings(tmp_path, f"settings={settings}") == []


@pytest.mark.parametrize("settings", ["JobSettings()", "JobSettings(priority=0)", "JobSettings(keep_failed=None)"])
def test_order_without_priority_is_found(tmp_path: Path, settings: str) -> None:
    """The default of `JobSettings` is none; without an order that is nothing to report."""
    assert [one.code for one in findings(tmp_path, f"order_by=AGGREGATE, settings={settings}")] == ["DS413"]
    assert findings(tmp_path, f"settings={settings}") == []


@pytest.mark.parametrize(
    "settings",
    [
        "None",
        "unknown",
        "replace(EXPIRING, keep_failed=None)",
        "JobSettings(**unknown)",
        "JobSettings(priority=unknown, keep_failed=unknown)",
        "JobSettings(priority=1, keep_failed=KEPT)",
    ],
)
def test_settings_that_fit_or_are_not_plain_are_not_reported(tmp_path: Path, settings: str) -> None:
    """Only what the file says is reported."""
    assert findings(tmp_path, f"order_by=AGGREGATE, settings={settings}") == []
