"""`domainstream demo`: its options."""

import click

from domainstream.errors import MissingExtraError

_SCHEMES = ("redis://", "rediss://", "unix://")
_FAILURE = 1
_INTERRUPTED = 130


def _check_url(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    if url is not None and not url.startswith(_SCHEMES):
        raise click.BadParameter("expected redis://host:port, rediss://host:port or unix:///path")
    return url


@click.command()
@click.option(
    "--events", type=click.IntRange(min=1), default=2000, show_default=True, help="How many medical stays to hand in."
)
@click.option("--seed", type=int, default=1, show_default=True, help="What the stays are drawn from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--no-color", is_flag=True, help="Print without colours, as the variable NO_COLOR does.")
@click.option("--redis-url", metavar="URL", callback=_check_url, help="Use this server, not REDIS_URL's or our own.")
@click.pass_context
def demo(
    context: click.Context, /, events: int, seed: int, as_json: bool, no_color: bool, redis_url: str | None
) -> None:
    """Watch three services' events go from mapper to handler.

    Starts the services of the example monorepo as processes, hands in medical stays, and counts every event from its
    publication to the end of its handler. Brings its own server unless --redis-url or REDIS_URL names one; there, it
    deletes its keys at the end.

    Exit codes: 0 everything was handled, 1 something failed or is missing, 3 no server, 130 Ctrl-C.
    """
    try:
        # Imported late: `domainstream --help` is to answer at once.
        from domainstream.tools.demo.extras import require_extras  # noqa: PLC0415

        require_extras(redis_url)
        from domainstream.tools.demo.settings import DemoSettings  # noqa: PLC0415
        from domainstream.tools.demo.start import start_demo  # noqa: PLC0415 - needs the extras

        settings = DemoSettings(events=events, seed=seed, redis_url=redis_url)
        context.exit(start_demo(settings, as_json=as_json, no_color=no_color))
    except MissingExtraError as error:
        click.echo(str(error), err=True)
        context.exit(_FAILURE)
    except KeyboardInterrupt:
        # So early that there is nothing to clean up.
        context.exit(_INTERRUPTED)
