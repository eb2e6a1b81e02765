"""`manage.py domainstream_outbox`: `domainstream outbox` for a database of the project's settings."""

import os
from argparse import REMAINDER, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from domainstream.bootstrap import DATABASE_VARIABLE
from domainstream.errors import DomainStreamError, MissingExtraError
from domainstream.integrations.django.relay import database_url

try:
    from domainstream.cli.outbox import outbox
except ModuleNotFoundError:
    raise MissingExtraError("manage.py domainstream_outbox", "cli") from None


class Command(BaseCommand):
    """Passes what follows to `domainstream outbox`, whose commands, options and exit codes it has."""

    help = "Look at the outbox of a database, and retry, discard or replay its events, as `domainstream outbox` does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--database", choices=tuple(connections), default=DEFAULT_DB_ALIAS, help="The database with the outbox."
        )
        parser.add_argument(
            "command", nargs=REMAINDER, help=f"{', '.join(outbox.lazy)}, with options; --help behind it explains them."
        )

    def handle(self, **options: Any) -> None:
        """Run the command, and exit with its code."""
        try:
            # The command reads its database from there, ahead of anything that the environment says.
            os.environ[DATABASE_VARIABLE] = database_url(options["database"])
        except DomainStreamError as error:
            raise CommandError(str(error)) from error
        name, database = "manage.py domainstream_outbox", options["database"]
        if database != DEFAULT_DB_ALIAS:
            name += f" --database {database}"
        outbox(options["command"] or ["--help"], prog_name=name)
