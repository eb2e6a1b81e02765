"""The BullMQ queues: one per consuming service."""

from enum import StrEnum


class BullMqQueues(StrEnum):
    """Where the subscriber puts jobs, and where each service's worker takes them."""

    CODING = "coding"
    SCREENFLOW = "screenflow"
    VALUATION = "valuation"
    NOTIFICATIONS = "notifications"
    """Worked by Node.js: see `services/notifications`."""
