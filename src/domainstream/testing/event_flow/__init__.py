"""Tests of events without a server: a whole flow from publishing to handling, or one handler alone.

Events move through memory as they would through servers, on the production code of every stage. It does not import
pytest.
"""

from domainstream.testing.event_flow.attempts import EndlessFlowError, FailedJob, FlowFailedError, JobAttempt
from domainstream.testing.event_flow.event_flow import EventFlow, handle
from domainstream.worker.outcomes import Completed, Delayed, Failed, Waiting

__all__ = [
    "Completed",
    "Delayed",
    "EndlessFlowError",
    "EventFlow",
    "Failed",
    "FailedJob",
    "FlowFailedError",
    "JobAttempt",
    "Waiting",
    "handle",
]
