"""`domainstream new subscriber`: a queue that hears of a channel, and a handler for its jobs."""

from dataclasses import dataclass

from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.model.flow import Consumer
from domainstream.tools.check.model.project import Project
from domainstream.tools.scaffold.edits.subscriptions import all_subscribed, with_channel, with_handler
from domainstream.tools.scaffold.errors import RefusedError, UnknownNameError
from domainstream.tools.scaffold.handler import Work, plan_consumer, plan_handler
from domainstream.tools.scaffold.handler_test import plan_handler_test
from domainstream.tools.scaffold.layout import Service
from domainstream.tools.scaffold.names import did_you_mean, kebab, snake
from domainstream.tools.scaffold.system import System


@dataclass(frozen=True, kw_only=True)
class NewSubscriber:
    """A subscription that is to be."""

    channel: str
    """The channel's name."""

    event: Event
    """What is published to it."""

    queue: str
    """The queue's name."""

    job: str
    """The name of the jobs."""

    service: Service | None
    """The service whose consumer works the queue; None for a queue that others work."""

    consumer: Consumer | None
    """The consumer of the queue; None where it has none yet."""


def read_subscriber(
    system: System, channel: str, queue: str, *, service: str | None = None, job: str | None = None
) -> NewSubscriber:
    """Return the subscription that is meant.

    Raises `UnknownNameError` for a channel or a service that is not there, `RefusedError` for a queue of another
    service and for a channel that nobody publishes to.
    """
    project = system.project
    name = _channel(system, channel)
    event = _event(project, name)
    queue_name = _queue(system, queue)
    consumer = next((one for one in project.consumers if one.queue == queue_name and one.service), None)
    return NewSubscriber(
        channel=name,
        event=event,
        queue=queue_name,
        job=kebab(snake(job, "name of the job")) if job else _job(system, name, queue_name, event),
        service=_service(system, queue_name, service, consumer),
        consumer=consumer,
    )


def plan_subscriber(system: System, new: NewSubscriber) -> list[str]:
    """Plan queue, job, subscription, handler and test, as far as they are not there; return what is left to be done."""
    _refuse_second_use(system, new)
    queue, job = system.member(system.queues, new.queue), system.member(system.jobs, new.job)
    system.add_member(system.queues, queue.partition(".")[2], new.queue)
    system.add_member(system.jobs, job.partition(".")[2], new.job)
    _plan_subscription(system, new, queue, job)
    if new.service is None:
        return [f"{new.queue} is worked by others: let them handle jobs named {new.job}"]
    work = Work(service=new.service, queue=queue, job=job, job_name=new.job, event=new.event)
    path = new.consumer.location.path if new.consumer else plan_consumer(system, work)
    if _handled(system.project, new):
        return []
    plan_handler(system, work, path)
    return plan_handler_test(system, work, path, others=_others(new))


def _channel(system: System, typed: str) -> str:
    known = system.values_of(system.channels)
    name = snake(typed.rpartition(".")[2], "name of the channel").upper()
    if name not in known:
        hint = did_you_mean(name.lower(), known.values())
        raise UnknownNameError(
            f"There is no channel {name}; {hint} To make it: domainstream new event SERVICE AGGREGATE EVENT"
        )
    return name


def _event(project: Project, channel: str) -> Event:
    found = [event for event in project.events if event.event_type == channel.lower()]
    if not found:
        problem = f"nobody publishes to {channel}; first type: domainstream new event SERVICE AGGREGATE EVENT"
        raise RefusedError("The subscriber cannot be made:", [problem])
    return found[0]


def _queue(system: System, typed: str) -> str:
    """Return the queue that is there under a name, or the name as new queues are called."""
    queues = system.values_of(system.queues)
    name = snake(typed.rpartition(".")[2], "name of the queue")
    return queues.get(name.upper(), kebab(name))


def _job(system: System, channel: str, queue: str, event: Event) -> str:
    """Return the job that the queue has for the channel already, or a new one's name."""
    values = {f"{system.jobs.name}.{name}": value for name, value in system.values_of(system.jobs).items()}
    member = system.member(system.queues, queue)
    found = [
        job
        for subscribed, at, job in all_subscribed(system.plan.source(system.layout.subscriptions))
        if (subscribed, at) == (f"{system.channels.name}.{channel}", member)
    ]
    if found and found[0] in values:
        return values[found[0]]
    return f"handle-{kebab(snake(event.name, 'name of the event'))}"


def _service(system: System, queue: str, typed: str | None, consumer: Consumer | None) -> Service | None:
    name = snake(typed, "name of the service") if typed else None
    if consumer is not None:
        if name not in (None, consumer.service):
            problem = (
                f"queue {queue} is worked by {consumer.service}; type: --service {consumer.service}, or another queue"
            )
            raise RefusedError("The subscriber cannot be made:", [problem])
        return system.layout.existing(consumer.service)
    if name is None and queue in system.layout.settings.external_queues:
        return None
    if name is None and queue.replace("-", "_") not in system.layout.services():
        hint = did_you_mean(queue, map(kebab, system.layout.services()))
        raise UnknownNameError(f"There is no queue {queue} and no service of that name; {hint} Or type: --service NAME")
    return system.layout.existing(name or queue.replace("-", "_"))


def _refuse_second_use(system: System, new: NewSubscriber) -> None:
    """Raise `RefusedError` when the queue has jobs of this name from another channel."""
    queue, job = system.member(system.queues, new.queue), system.member(system.jobs, new.job)
    for channel, at, name in all_subscribed(system.plan.source(system.layout.subscriptions)):
        if (at, name) == (queue, job) and channel != f"{system.channels.name}.{new.channel}":
            problem = f"queue {new.queue} has jobs named {new.job} from {channel}; type another: --job NAME"
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
        for one in project.subscription_maps
        for entry in one.entries
        if entry.channel == new.channel
        for each in entry.subscriptions
    )
    jobs = (new.job, None) if subscribed else (new.job,)
    return any(new.event.symbol in one.events and one.job in jobs for one in handlers)


def _others(new: NewSubscriber) -> bool:
    """Tell whether the queue does something else about the event, too."""
    handlers = new.consumer.handlers if new.consumer else ()
    return any(new.event.symbol in one.events and one.job != new.job for one in handlers)
