"""Which queues each channel is delivered to. Every channel is listed, with `[]` if it has no listener yet."""

from contracts.bull_mq_jobs import BullMqJobs
from contracts.bull_mq_queues import BullMqQueues
from contracts.event_publisher_channels import Channel
from domainstream.queue import JobSettings
from domainstream.subscriber import create_multiple_handlers, to_queue

FOR_NODE = JobSettings(attempts=18)
"""Pauses of a Node.js worker double without limit: 18 attempts reach over a day."""

subscriptions = create_multiple_handlers(
    {
        Channel.DOMAIN_CODING_MEDICAL_STAY_CREATED: [
            to_queue(BullMqQueues.SCREENFLOW, job=BullMqJobs.SCREEN_STAY),
        ],
        Channel.DOMAIN_SCREENFLOW_RUN_STARTED: [
            to_queue(BullMqQueues.CODING, job=BullMqJobs.OPTIMISE_STAY),
        ],
        Channel.DOMAIN_SCREENFLOW_RUN_FAILED: [
            to_queue(BullMqQueues.CODING, job=BullMqJobs.REOPEN_STAY),
        ],
        Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED: [
            to_queue(BullMqQueues.VALUATION, job=BullMqJobs.PRICE_STAY),
        ],
        Channel.DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED: [
            to_queue(BullMqQueues.SCREENFLOW, job=BullMqJobs.RECORD_OPTIMIZATION),
        ],
        Channel.DOMAIN_VALUATION_PRICING_CALCULATED: [
            to_queue(BullMqQueues.CODING, job=BullMqJobs.RECORD_PRICE),
            to_queue(BullMqQueues.NOTIFICATIONS, job=BullMqJobs.ANNOUNCE_PRICE, settings=FOR_NODE),
        ],
    }
)
