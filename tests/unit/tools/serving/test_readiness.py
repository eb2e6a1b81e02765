"""Whether a program is ready, by what it says about itself."""

from domainstream.health import Health
from domainstream.tools.serving.health import HealthResponse, readiness_probe
from domainstream.worker import EventConsumer, EventWorker


async def no_problem() -> str | None:
    """Answer as a server does that is well."""
    return None


class Broken:
    """A program of a user whose `health` has a bug."""

    async def run(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    async def health(self) -> Health:
        """Fail with a message that holds data."""
        raise ValueError("a-secret")


async def test_program_whose_health_fails_is_not_ready() -> None:
    """A bug in the `health` of a program answers 503 and is named without its message."""
    answer = await readiness_probe(Broken(), no_problem, is_stopping=lambda: False)()
    assert answer == HealthResponse(status="failing", reason="`stats` or `health` of Broken raised ValueError")


async def test_worker_whose_guardian_died_is_not_ready() -> None:
    """A worker that lost one of its background tasks is not ready, although its server answers."""
    worker = EventWorker.from_url("redis://127.0.0.1:1", EventConsumer("valuation"))
    worker._lifecycle._died("lock renewer", TypeError("a bug"))
    answer = await readiness_probe(worker, no_problem, is_stopping=lambda: False)()
    assert answer.status == "failing"
    assert answer.reason == "the lock renewer has died: TypeError: a bug"
