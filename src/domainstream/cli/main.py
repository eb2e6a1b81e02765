"""The group of all commands."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

COMMANDS: Final = {
    "check": LazyCommand(
        "domainstream.cli.check:check",
        "Prove that channels, events, mappers, subscriptions and consumers fit together.",
    ),
    "schema": LazyCommand(
        "domainstream.cli.schema:schema", "Record payload schemas, so that `check` finds breaking changes."
    ),
    "demo": LazyCommand("domainstream.cli.demo:demo", "Watch four services' events go from mapper to handler."),
    "run": LazyCommand("domainstream.cli.run:run", "Run a subscriber, a worker or a relay until SIGTERM or Ctrl-C."),
    "exporter": LazyCommand(
        "domainstream.cli.exporter:exporter", "Serve metrics of streams, groups, queues and an outbox to Prometheus."
    ),
    "doctor": LazyCommand(
        "domainstream.cli.doctor:doctor", "Diagnose a server, its streams and its queues, with a fix for each finding."
    ),
    "streams": LazyCommand("domainstream.cli.streams:streams", "List channels and show their events."),
    "groups": LazyCommand(
        "domainstream.cli.groups:groups", "Show the progress of consumer groups, and remove dead ones."
    ),
    "lag": LazyCommand("domainstream.cli.lag:lag", "Show unread and pending entries, and fail above a limit."),
    "pending": LazyCommand("domainstream.cli.pending:pending", "List entries delivered but not acknowledged."),
    "queues": LazyCommand("domainstream.cli.queues:queues", "Count the jobs of each BullMQ queue by state."),
    "jobs": LazyCommand("domainstream.cli.jobs:jobs", "Find out why jobs failed, and retry or remove them."),
    "order": LazyCommand(
        "domainstream.cli.order:order", "Show what holds up jobs that are handled in order, and let them go on."
    ),
    "outbox": LazyCommand(
        "domainstream.cli.outbox:outbox", "Look at an outbox, and retry, discard or replay its events."
    ),
    "replay": LazyCommand("domainstream.cli.replay:replay", "Re-enqueue a channel's events as jobs."),
    "trace": LazyCommand(
        "domainstream.cli.trace:trace", "Trace a transaction or an aggregate across streams, dead letters and queues."
    ),
    "ui": LazyCommand(
        "domainstream.cli.ui:ui", "Show queues, failures, channels and stories in a browser, and repair them."
    ),
    "dead-letters": LazyCommand(
        "domainstream.cli.dead_letters:dead_letters", "Inspect, redrive or purge dead-lettered entries."
    ),
    "new": LazyCommand("domainstream.cli.new:new", "Generate projects, services, events, subscribers and readers."),
    "docs": LazyCommand(
        "domainstream.cli.docs:docs", "Document the whole system as AsyncAPI, a catalogue or TypeScript."
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="domainstream", prog_name="domainstream")
def cli() -> None:
    """Domain events on Redis Streams, delivered to BullMQ queues."""
