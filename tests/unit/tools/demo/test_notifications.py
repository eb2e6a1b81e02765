"""What the demo makes of the Node.js service."""

from pathlib import Path

import pytest

from domainstream.tools.demo import notifications
from domainstream.tools.demo.protocol import ChildSettings


def test_line_of_the_service_is_a_handled_event() -> None:
    """A notification means that its event was handled, some time after the event's id was made."""
    (handled,) = notifications.read_line(
        b'{"notificationId":"019b7ca9-916a-7000-8000-000000000007","to":"billing-office"}'
    ).handled
    assert handled.event_id == "019b7ca9-916a-7000-8000-000000000007"
    assert handled.subscription == ("domain_valuation_pricing_calculated", "notifications", "announce-price")
    assert handled.milliseconds is not None
    assert handled.milliseconds > 0


def test_service_works_on_the_keys_of_the_run() -> None:
    """The service gets the server and the prefix of the run's queues."""
    settings = ChildSettings(
        url="redis://localhost:6380", run="demo-1", events=1, seed=1, stays_per_second=80, database_file=""
    )
    environment = notifications.environment(settings)
    assert (environment["REDIS_URL"], environment["BULL_PREFIX"]) == ("redis://localhost:6380", "demo-1")


def test_missing_node_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Node.js on PATH the service cannot run."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert notifications.missing() == "Node.js is not installed"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the npm packages, the command that installs them is named."""
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/node")
    monkeypatch.setattr(notifications, "folder", lambda: tmp_path)
    assert notifications.missing() == f"run: npm ci --prefix {tmp_path}"
