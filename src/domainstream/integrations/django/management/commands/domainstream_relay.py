"""`manage.py domainstream_relay`: publishes what the outbox of a database stores, until it is stopped."""

import logging
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

import domainstream
from domainstream.errors import DomainStreamError
from domainstream.integrations.django.relay import open_relay, redis_server, stream_prefix
from domainstream.tools.serving.logs import set_up_logs
from domainstream.tools.serving.serving import Serving, run_until_stopped

TARGET: Final = "domainstream.integrations.django.relay:open_relay"


class Command(BaseCommand):
    """Runs a relay. Any number may run for one outbox: one is active, the others stand by."""

    help = (
        "Publish the events that the outbox of a database stores, until SIGTERM or Ctrl-C. Any number may run: one is "
        "active, the others stand by. Exit codes: 0 after SIGTERM, 130 after Ctrl-C; a second signal aborts it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--database", choices=tuple(connections), default=DEFAULT_DB_ALIAS, help="The database with the outbox."
        )
        parser.add_argument("--redis-url", help="Default: settings.DOMAINSTREAM_REDIS_URL, else REDIS_URL.")
        parser.add_argument("--prefix", help="Begins the key of every stream. Default: settings.DOMAINSTREAM_PREFIX.")
        parser.add_argument("--health-port", type=int, help="Serve GET /live, /ready and /metrics here.")
        parser.add_argument("--health-host", default="127.0.0.1", help="The endpoint's address.")

    def handle(self, **options: Any) -> None:
        """Run the relay; exit with a code that says how it ended."""
        if not logging.root.handlers and not logging.getLogger("domainstream").handlers:
            set_up_logs(as_json=False, quiet=options["verbosity"] < 1, verbose=options["verbosity"] - 1)
        using = options["database"]
        try:
            url, prefix = redis_server(options["redis_url"]), stream_prefix(options["prefix"])
            code = run_until_stopped(
                Serving(
                    target=TARGET,
                    folder=Path(domainstream.__file__).parents[1],
                    redis_url=url,
                    prefix=prefix,
                    database_url=None,
                    health_port=options["health_port"],
                    health_host=options["health_host"],
                ),
                lambda opens: opens(using, redis_url=url, prefix=prefix) if opens is open_relay else None,
            )
        except DomainStreamError as error:
            raise CommandError(str(error)) from error
        if code:
            sys.exit(code)
