"""The doctor's checks of an outbox. Needs the extra `outbox`."""

from collections.abc import Iterator

from domainstream.errors import ConfigurationError, OutboxError, OutboxUnavailableError
from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.outbox.sql.inspection import OutboxStatus
from domainstream.tools.common.formatting import age, plural
from domainstream.tools.doctor.finding import Finding, command, ok, problem, warning


async def inspect_outbox(url: str, *, table: str, schema: str | None, limit_ms: int) -> list[Finding]:
    """Look at the outbox `table` of a database; a database without one is not a problem."""
    try:
        database = OutboxDatabase.from_url(url, table=table, schema=schema)
    except (ConfigurationError, OutboxError) as error:
        return [ok("outbox", f"doctor did not look for an outbox: {error}")]
    options = ("--table", table, *(() if schema is None else ("--schema", schema)))
    try:
        if database.is_missing:
            words = f"there is no database {database.file}; correct --database-url or DATABASE_URL"
            return [warning("outbox", words, command("doctor", "--database-url", "URL"))]
        if not await database.inspection.exists():
            return [ok("outbox", f"{database.place} has no table {database.name}, and so no outbox of this name")]
        return [*outbox_findings(await database.inspection.status(), options=options, limit_ms=limit_ms)]
    except OutboxUnavailableError as error:
        return [warning("outbox", f"doctor could not look at it: {error}", command("outbox", "status", *options))]
    except OutboxError as error:
        return [problem("outbox", str(error), command("outbox", "ddl", "--help"))]
    finally:
        await database.close()


def outbox_findings(state: OutboxStatus, *, options: tuple[str, ...], limit_ms: int) -> Iterator[Finding]:
    """Check how old the backlog is, whether a relay is active, and whether channels are held.

    `options` name the outbox on the command line.
    """
    look = command("outbox", "status", *options)
    waiting = (
        f"backlog of {plural(state.backlog, 'event')} in {state.table}, the oldest waiting for {age(state.oldest_ms)}"
    )
    if not state.relay.is_active:
        words = "no relay is active: what is stored is not published"
        finding = problem if state.backlog else warning
        yield finding("relay", f"{words}{f'; {waiting}' if state.backlog else ''}", command("run", "relay", "--help"))
    elif state.oldest_ms is not None and state.oldest_ms > limit_ms:
        yield warning("outbox", waiting, look)
    else:
        yield ok("outbox", f"backlog of {plural(state.backlog, 'event')} in {state.table}")
    for held in state.held:
        words = (
            f"{held.channel} is held: {plural(held.rows, 'event')} waiting for {age(held.since_ms)}, "
            f"because {held.reason}"
        )
        yield problem("held channels", words, command("outbox", "retry", *options, held.channel))
    for writer in state.writers:
        if writer.open_ms is not None and writer.open_ms > limit_ms:
            words = (
                f"a transaction of {writer.user} has been open for {age(writer.open_ms)}: what it stored waits for it"
            )
            yield warning("open writers", words, look)
