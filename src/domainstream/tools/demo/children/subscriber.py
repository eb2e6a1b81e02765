"""The subscriber process: forwards the events of all streams to the queues."""

import asyncio

from contracts.bull_mq_queues import BullMqQueues
from contracts.subscriptions import subscriptions
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers
from domainstream.tools.demo.children.child import run_child
from domainstream.tools.demo.children.reporter import Reporter
from domainstream.tools.demo.reports import Subscription
from domainstream.tools.demo.settings import ChildSettings

# The service of the queue `notifications` runs on Node.js and not in the demo, so its jobs would only wait.
_worked = create_multiple_handlers(
    {
        channel: [handler for handler in handlers if handler.queue != BullMqQueues.NOTIFICATIONS]
        for channel, handlers in subscriptions.items()
    }
)


async def work(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Forward until cancelled."""
    async with RedisBullMQStreamSubscriber.from_url(
        settings.url,
        group="domain-events",
        subscriptions=_worked,
        prefix=settings.stream_prefix,
        bull_prefix=settings.bull_prefix,
    ) as subscriber:
        reporter.pending.subscriptions += [
            Subscription(channel.value, handler.queue, handler.job)
            for channel, handlers in _worked.items()
            for handler in handlers
        ]
        reporter.pending.ready = True
        await subscriber.run()


if __name__ == "__main__":
    run_child(work)
