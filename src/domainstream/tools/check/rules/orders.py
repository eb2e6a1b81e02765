"""Rules of the order in which jobs are handled, DS411 to DS413: one rule for each queue, and what it needs."""

from collections.abc import Iterator

from domainstream.tools.check.findings import RawFinding
from domainstream.tools.check.model.flow import Order, Subscription
from domainstream.tools.check.model.project import Project


def mixed_orders(project: Project) -> Iterator[RawFinding]:
    """Find subscriptions whose jobs are handled in another order than the others of their queue."""
    first: dict[str, Subscription] = {}
    for subscription in _subscriptions(project):
        if subscription.queue is None or _is_unread(subscription.order):
            continue
        other = first.setdefault(subscription.queue, subscription)
        if _rule(other.order) != _rule(subscription.order):
            where = f"{other.location.path}:{other.location.line}"
            here, there = _rule(subscription.order), _rule(other.order)
            message = f"the queue {subscription.queue} has {here} here, but {there} in {where}: its jobs would overtake"
            yield RawFinding(subscription.location, message, "use one order_by and one on_failure for all of its jobs")


def expiring_holders(project: Project) -> Iterator[RawFinding]:
    """Find queues in which failed jobs hold others, but only until they are removed for their age."""
    for subscription in _subscriptions(project):
        order = subscription.order
        if order is not None and order.on_failure == "hold" and order.keeps_failed is False:
            message = (
                f"a failed job of {_queue_of(subscription)} is removed after keep_failed, and those it holds go on "
                "as if it had been handled"
            )
            fix = 'remove keep_failed from its settings, or use on_failure="skip" if they may go on'
            yield RawFinding(subscription.location, message, fix)


def orders_without_priority(project: Project) -> Iterator[RawFinding]:
    """Find jobs in order that have no priority: BullMQ puts the next one of a key before all that wait."""
    for subscription in _subscriptions(project):
        if subscription.order is not None and subscription.order.priority == 0:
            message = f"with priority 0, jobs of a busy key come before all others of {_queue_of(subscription)}"
            yield RawFinding(subscription.location, message, "add priority=1 to its settings")


def _queue_of(subscription: Subscription) -> str:
    return f"the queue {subscription.queue}" if subscription.queue else "its queue"


def _subscriptions(project: Project) -> Iterator[Subscription]:
    for table in project.subscription_maps:
        for entry in table.entries:
            yield from entry.subscriptions


def _is_unread(order: Order | None) -> bool:
    return order is not None and (order.by is None or order.on_failure is None)


def _rule(order: Order | None) -> str:
    if order is None:
        return "no order_by"
    return f'order_by={order.by}, on_failure="{order.on_failure}"'
