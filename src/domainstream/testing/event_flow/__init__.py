"""Tests of events without a server: publish in, handled events out, or one handler alone.

Here belongs what moves events through memory as servers would, on the real code of every stage. It imports no pytest.
Before: `domainstream.worker`; used by tests of users.
"""

from domainstream.testing.event_flow.attempts import FailedJob, JobAttempt
from domainstream.testing.event_flow.event_flow import EventFlow
from domainstream.testing.event_flow.failures import EndlessFlowError, FlowFailedError
from domainstream.testing.event_flow.one_handler import handle
from domainstream.worker.attempt_result import Completed, Delayed, Failed

__all__ = [
    "Completed",
    "Delayed",
    "EndlessFlowError",
    "EventFlow",
    "Failed",
    "FailedJob",
    "FlowFailedError",
    "JobAttempt",
    "handle",
]
