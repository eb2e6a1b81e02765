"""`domainstream new subscriber`: subscribes a queue to a channel, and adds a handler for its jobs."""

from dataclasses import dataclass

from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.model.flow import Consumer, Handler
from domainstream.tools.scaffold.edits.contracts import all_subscribed, with_channel, with_subscription
from domainstream.tools.scaffold.errors import RefusedError, UnknownNameError
from domainstream.tools.scaffold.handler import HandledJob, plan_consumer, plan_handler, plan_handler_test
from domainstream.tools.scaffold.layout import Service
from domainstream.tools.scaffold.names import kebab, near_or_known, snake
from domainstream.tools.scaffold.system import System


@dataclass(frozen=True, kw_only=True)
class NewSubscriber:
    """A subscription that is to be made."""

    channel: str
    """The channel's name."""

    event: Event
    """The event that is published to the channel."""

    queue: str
    """The queue's name."""

    job: str
    """The name of the jobs."""

    service: Service | None
    """The service that consumes the queue; None for a queue with an external worker."""

    consumer: Consumer | None
    """The consumer of the queue; None where there is none yet."""

    @property
    def handlers(self) -> list[Handler]:
        """The existing handlers of the event in the queue."""
        handlers = self.consumer.handlers if self.consumer else ()
        return [handler for handler in handlers if self.event.symbol in handler.events]


def read_subscriber(
    system: System, channel: str, queue: str, *, service: str | None = None, job: str | None = None
) -> NewSubscriber:
    """Return the subscription that the arguments name.

    Raises `UnknownNameError` for a channel or a service that does not exist, `RefusedError` for a queue of another
    service and for a channel without a publisher.
    """
    project = system.project
    name = _channel(system, channel)
    classes = [event for event in (*project.events, *project.readers) if event.event_type == name.lower()]
    if not classes:
        problem = f"no service publishes to {name}; first run: domainstream new event SERVICE AGGREGATE EVENT"
        raise RefusedError("The subscriber cannot be made:", [problem])
    typed = snake(queue.rpartition(".")[2], "name of the queue")
    queue_name = system.values_of(system.queues).get(typed.upper(), kebab(typed))
    consumer = next((each for each in project.consumers if each.queue == queue_name and each.service), None)
    handling = _service(system, queue_name, service, consumer)
    # A service that reads the event with a class of its own handles it by that one.
    event = next((each for each in classes if handling and each.service == handling.name), classes[0])
    return NewSubscriber(
        channel=name,
        event=event,
        queue=queue_name,
        job=kebab(snake(job, "name of the job")) if job else _job(system, name, queue_name, event),
        service=handling,
        consumer=consumer,
    )


def plan_subscriber(system: System, new: NewSubscriber) -> list[str]:
    """Plan the missing ones of queue, job, subscription, handler and test; return what is left to do by hand."""
    queue, job = system.member(system.queues, new.queue), system.member(system.jobs, new.job)
    _plan_subscription(system, new, queue, job)
    if new.service is None:
        return [f"{new.queue} has an external worker: let it handle jobs named {new.job}"]
    handled = HandledJob(service=new.service, queue=queue, member=job, name=new.job, event=new.event)
    path = new.consumer.location.path if new.consumer else plan_consumer(system, handled)
    if _is_handled(system, new):
        return []
    plan_handler(system, handled, path)
    return plan_handler_test(system, handled, path, others=any(handler.job != new.job for handler in new.handlers))


def _channel(system: System, typed: str) -> str:
    known = system.values_of(system.channels)
    name = snake(typed.rpartition(".")[2], "name of the channel").upper()
    if name not in known:
        hint = near_or_known(name.lower(), known.values())
        raise UnknownNameError(
            f"There is no channel {name}.{hint} To make it: domainstream new event SERVICE AGGREGATE EVENT"
        )
    return name


def _job(system: System, channel: str, queue: str, event: Event) -> str:
    """Return the job that the queue already has for the channel, or the name of a new one."""
    values = {f"{system.jobs.name}.{name}": value for name, value in system.values_of(system.jobs).items()}
    source = system.plan.source(system.layout.subscriptions)
    member = system.member_in(source, system.queues, system.member(system.queues, queue))
    jobs = [
        f"{system.jobs.name}.{job.rpartition('.')[2]}"
        for subscribed, at, job in all_subscribed(source)
        if (subscribed, at) == (system.member_in(source, system.channels, channel), member)
    ]
    if jobs and jobs[0] in values:
        return values[jobs[0]]
    return f"handle-{kebab(snake(event.name, 'name of the event'))}"


def _service(system: System, queue: str, typed: str | None, consumer: Consumer | None) -> Service | None:
    name = snake(typed, "name of the service") if typed else None
    if consumer is not None:
        if name not in (None, consumer.service):
            problem = (
                f"queue {queue} is consumed by {consumer.service}; use --service {consumer.service}, or another queue"
            )
            raise RefusedError("The subscriber cannot be made:", [problem])
        return system.layout.existing(consumer.service)
    if name is None and queue in system.layout.settings.external_queues:
        return None
    if name is None and queue.replace("-", "_") not in system.layout.services():
        hint = near_or_known(queue, map(kebab, system.layout.services()))
        raise UnknownNameError(f"There is no queue {queue} and no service of that name.{hint} Or use: --service NAME")
    return system.layout.existing(name or queue.replace("-", "_"))


def _plan_subscription(system: System, new: NewSubscriber, queue: str, job: str) -> None:
    """Plan the names of queue and job, and the subscription; both are given as they are written in code.

    Raises `RefusedError` when the queue already gets jobs of this name from another channel.
    """
    source = system.plan.source(system.layout.subscriptions)
    channel = system.member_in(source, system.channels, new.channel)
    queue, job = system.member_in(source, system.queues, queue), system.member_in(source, system.jobs, job)
    for other, at, name in all_subscribed(source):
        if (at, name) == (queue, job) and other != channel:
            problem = f"queue {new.queue} gets jobs named {new.job} from {other}; use another name: --job NAME"
            raise RefusedError("The subscriber cannot be made:", [problem])
    system.add_member(system.queues, queue.partition(".")[2], new.queue)
    system.add_member(system.jobs, job.partition(".")[2], new.job)
    partitions = _partitions_of(system, new.queue)
    changed = with_subscription(with_channel(source, channel), channel, queue, job, partitions)
    if changed is not source:
        changed = system.add_imports(changed, ["domainstream.subscriber:to_queue"])
        for shared in (system.channels, system.queues, system.jobs):
            changed, _ = system.imported(changed, shared.place)
        system.plan.put(changed)


def _partitions_of(system: System, queue: str) -> int:
    """Return the number of partitions that a queue has in its other subscriptions, or in its consumer."""
    maps = system.project.subscription_maps
    said = [(each.queue, each.partitions) for table in maps for entry in table.entries for each in entry.subscriptions]
    said += [(consumer.queue, consumer.partitions) for consumer in system.project.consumers]
    return next((partitions for name, partitions in said if name == queue and partitions), 1)


def _is_handled(system: System, new: NewSubscriber) -> bool:
    """Return whether a handler takes the jobs; one of all jobs does so only for an existing subscription."""
    subscribed = any(
        (each.queue, each.job) == (new.queue, new.job)
        for subscriptions in system.project.subscription_maps
        for entry in subscriptions.entries
        if entry.channel == new.channel
        for each in entry.subscriptions
    )
    jobs = (new.job, None) if subscribed else (new.job,)
    return any(handler.job in jobs for handler in new.handlers)
