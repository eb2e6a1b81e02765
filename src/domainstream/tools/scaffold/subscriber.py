"""`domainstream new subscriber`: subscribes a queue to a channel, and adds a handler for its jobs."""

from dataclasses import dataclass

from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.model.flow import Consumer
from domainstream.tools.check.model.project import Project
from domainstream.tools.scaffold.edits.subscriptions import all_subscribed, with_channel, with_handler
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


def read_subscriber(
    system: System, channel: str, queue: str, *, service: str | None = None, job: str | None = None
) -> NewSubscriber:
    """Return the subscription that the arguments name.

    Raises `UnknownNameError` for a channel or a service that does not exist, `RefusedError` for a queue of another
    service and for a channel without a publisher.
    """
    project = system.project
    name = _channel(system, channel)
    event = _event(project, name)
    queue_name = _queue(system, queue)
    consumer = next((each for each in project.consumers if each.queue == queue_name and each.service), None)
    return NewSubscriber(
        channel=name,
        event=event,
        queue=queue_name,
        job=kebab(snake(job, "name of the job")) if job else _job(system, name, queue_name, event),
        service=_service(system, queue_name, service, consumer),
        consumer=consumer,
    )


def plan_subscriber(system: System, new: NewSubscriber) -> list[str]:
    """Plan the missing ones of queue, job, subscription, handler and test; return what is left to do by hand."""
    _require_unused_job(system, new)
    queue, job = system.member(system.queues, new.queue), system.member(system.jobs, new.job)
    system.add_member(system.queues, queue.partition(".")[2], new.queue)
    system.add_member(system.jobs, job.partition(".")[2], new.job)
    _plan_subscription(system, new, queue, job)
    if new.service is None:
        return [f"{new.queue} has an external worker: let it handle jobs named {new.job}"]
    handled = HandledJob(service=new.service, queue=queue, member=job, name=new.job, event=new.event)
    path = new.consumer.location.path if new.consumer else plan_consumer(system, handled)
    if _handled(system.project, new):
        return []
    plan_handler(system, handled, path)
    return plan_handler_test(system, handled, path, others=_others(new))


def _channel(system: System, typed: str) -> str:
    known = system.values_of(system.channels)
    name = snake(typed.rpartition(".")[2], "name of the channel").upper()
    if name not in known:
        hint = near_or_known(name.lower(), known.values())
        raise UnknownNameError(
            f"There is no channel {name}.{hint} To make it: domainstream new event SERVICE AGGREGATE EVENT"
        )
    return name


def _event(project: Project, channel: str) -> Event:
    events = [event for event in project.events if event.event_type == channel.lower()]
    if not events:
        problem = f"no service publishes to {channel}; first run: domainstream new event SERVICE AGGREGATE EVENT"
        raise RefusedError("The subscriber cannot be made:", [problem])
    return events[0]


def _queue(system: System, typed: str) -> str:
    """Return the existing queue of a name, or the name of a new one."""
    queues = system.values_of(system.queues)
    name = snake(typed.rpartition(".")[2], "name of the queue")
    return queues.get(name.upper(), kebab(name))


def _job(system: System, channel: str, queue: str, event: Event) -> str:
    """Return the job that the queue already has for the channel, or the name of a new one."""
    values = {f"{system.jobs.name}.{name}": value for name, value in system.values_of(system.jobs).items()}
    member = system.member(system.queues, queue)
    jobs = [
        job
        for subscribed, at, job in all_subscribed(system.plan.source(system.layout.subscriptions))
        if (subscribed, at) == (f"{system.channels.name}.{channel}", member)
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


def _require_unused_job(system: System, new: NewSubscriber) -> None:
    """Raise `RefusedError` when the queue already gets jobs of this name from another channel."""
    queue, job = system.member(system.queues, new.queue), system.member(system.jobs, new.job)
    for channel, at, name in all_subscribed(system.plan.source(system.layout.subscriptions)):
        if (at, name) == (queue, job) and channel != f"{system.channels.name}.{new.channel}":
            problem = f"queue {new.queue} gets jobs named {new.job} from {channel}; use another name: --job NAME"
            raise RefusedError("The subscriber cannot be made:", [problem])


def _plan_subscription(system: System, new: NewSubscriber, queue: str, job: str) -> None:
    source = system.plan.source(system.layout.subscriptions)
    channel = f"{system.channels.name}.{new.channel}"
    changed = with_handler(with_channel(source, channel), channel, queue, job)
    if changed is not source:
        wanted = ["domainstream.subscriber:to_queue", system.queues.place, system.jobs.place]
        system.plan.put(system.add_imports(changed, wanted))


def _handled(project: Project, new: NewSubscriber) -> bool:
    handlers = new.consumer.handlers if new.consumer else ()
    subscribed = any(
        (each.queue, each.job) == (new.queue, new.job)
        for subscriptions in project.subscription_maps
        for entry in subscriptions.entries
        if entry.channel == new.channel
        for each in entry.subscriptions
    )
    jobs = (new.job, None) if subscribed else (new.job,)
    return any(new.event.symbol in handler.events and handler.job in jobs for handler in handlers)


def _others(new: NewSubscriber) -> bool:
    """Return whether the queue has other handlers of the event, too."""
    handlers = new.consumer.handlers if new.consumer else ()
    return any(new.event.symbol in handler.events and handler.job != new.job for handler in handlers)
