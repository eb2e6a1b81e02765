"""The group of all commands."""

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

COMMANDS = {
    "check": LazyCommand("domainstream.cli.check:check", "Prove that the parts of a system fit together."),
    "schema": LazyCommand("domainstream.cli.schema:schema", "Keep what payloads look like."),
    "demo": LazyCommand("domainstream.cli.demo:demo", "Watch three services' events go from mapper to handler."),
    "run": LazyCommand("domainstream.cli.run_group:run", "Run a subscriber or a worker until SIGTERM or Ctrl-C."),
    "doctor": LazyCommand("domainstream.cli.doctor:doctor", "Find what is wrong with a server, and mend it."),
    "streams": LazyCommand("domainstream.cli.streams.group:streams", "Look at channels and the events in them."),
    "groups": LazyCommand("domainstream.cli.groups:groups", "Tell how far each consumer group has come."),
    "lag": LazyCommand("domainstream.cli.lag:lag", "Tell what is not settled yet, and fail above a limit."),
    "pending": LazyCommand("domainstream.cli.pending:pending", "List what was delivered and not acknowledged."),
    "queues": LazyCommand("domainstream.cli.queues:queues", "Count the jobs of each queue by state."),
    "replay": LazyCommand("domainstream.cli.replay:replay", "Make jobs of a channel's events once more."),
    "trace": LazyCommand("domainstream.cli.trace:trace", "Tell the story of a business transaction."),
    "dead-letters": LazyCommand(
        "domainstream.cli.dead_letters.group:dead_letters", "Look at what could never become a job, and mend it."
    ),
    "new": LazyCommand("domainstream.cli.new:new", "Write projects, services, events and subscribers."),
    "docs": LazyCommand(
        "domainstream.cli.docs:docs", "Write documents of the whole system: AsyncAPI, catalogue, TypeScript."
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="domainstream", prog_name="domainstream")
def cli() -> None:
    """Domain events on Redis Streams, delivered to BullMQ queues."""
