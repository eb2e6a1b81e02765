"""The BullMQ queues: one per consuming service."""

from enum import StrEnum


class BullMqQueues(StrEnum):
    """The subscriber adds jobs to these queues, and each service's worker takes jobs from its own."""

    CODING = "coding"
    SCREENFLOW = "screenflow"
    VALUATION = "valuation"
    BILLING = "billing"
    NOTIFICATIONS = "notifications"
    """Consumed by a Node.js worker: see `services/notifications`."""
