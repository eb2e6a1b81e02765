"""Which queues each channel is delivered to. Every channel is listed, with `[]` if it has no listener yet.

A stay is coded, coded again, and cancelled. So the services handle the events of a stay, run or pricing in order: what
came of the first coding must not replace what came of the last, and a stay that is cancelled must not be billed after
all, although a handler fails and is tried again.
"""

from contracts.bull_mq_jobs import BullMqJobs
from contracts.bull_mq_queues import BullMqQueues
from contracts.event_publisher_channels import Channel
from domainstream.queue import JobSettings
from domainstream.subscriber import AGGREGATE, create_multiple_handlers, to_queue

FOR_NODE = JobSettings(attempts=18)
"""Pauses of a Node.js worker double without limit: 18 attempts reach over a day."""

subscriptions = create_multiple_handlers(
    {
        Channel.DOMAIN_CODING_MEDICAL_STAY_CREATED: [
            to_queue(BullMqQueues.SCREENFLOW, job=BullMqJobs.SCREEN_STAY, order_by=AGGREGATE),
            to_queue(BullMqQueues.BILLING, job=BullMqJobs.BILL_STAY, order_by=AGGREGATE),
        ],
        Channel.DOMAIN_CODING_MEDICAL_STAY_RECODED: [
            to_queue(BullMqQueues.SCREENFLOW, job=BullMqJobs.RESCREEN_STAY, order_by=AGGREGATE),
            to_queue(BullMqQueues.BILLING, job=BullMqJobs.CORRECT_BILL, order_by=AGGREGATE),
        ],
        Channel.DOMAIN_CODING_MEDICAL_STAY_CANCELLED: [
            to_queue(BullMqQueues.BILLING, job=BullMqJobs.CANCEL_BILL, order_by=AGGREGATE),
        ],
        Channel.DOMAIN_SCREENFLOW_RUN_STARTED: [
            to_queue(BullMqQueues.CODING, job=BullMqJobs.OPTIMISE_STAY, order_by=AGGREGATE),
        ],
        Channel.DOMAIN_SCREENFLOW_RUN_FAILED: [
            to_queue(BullMqQueues.CODING, job=BullMqJobs.REOPEN_STAY, order_by=AGGREGATE),
        ],
        Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED: [
            to_queue(BullMqQueues.VALUATION, job=BullMqJobs.PRICE_STAY, order_by=AGGREGATE),
        ],
        Channel.DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED: [
            to_queue(BullMqQueues.SCREENFLOW, job=BullMqJobs.RECORD_OPTIMIZATION, order_by=AGGREGATE),
        ],
        Channel.DOMAIN_VALUATION_PRICING_CALCULATED: [
            to_queue(BullMqQueues.CODING, job=BullMqJobs.RECORD_PRICE, order_by=AGGREGATE),
            to_queue(BullMqQueues.NOTIFICATIONS, job=BullMqJobs.ANNOUNCE_PRICE, settings=FOR_NODE),
        ],
    }
)
