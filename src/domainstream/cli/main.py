"""The group of all commands."""

import click

from domainstream.cli.lazy_group import LazyCommand, LazyGroup

COMMANDS = {
    "demo": LazyCommand(
        "domainstream.cli.demo.command:demo", "Watch three services' events go from mapper to handler."
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="domainstream", prog_name="domainstream")
def cli() -> None:
    """Domain events on Redis Streams, delivered to BullMQ queues."""
