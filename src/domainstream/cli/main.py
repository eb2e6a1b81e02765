"""The group of all commands."""

import click

from domainstream.cli.demo.command import demo


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="domainstream", prog_name="domainstream")
def cli() -> None:
    """Domain events on Redis Streams, delivered to BullMQ queues."""


cli.add_command(demo)
