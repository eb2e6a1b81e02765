"""The queries of an inspection, once for PostgreSQL and once for SQLite."""

from typing import Any, NamedTuple

from sqlalchemy import Dialect, LargeBinary, MetaData, Table, Text, TextClause, bindparam, text

from domainstream.outbox.sql.engine import RELAY_APPLICATION
from domainstream.outbox.sql.statements import NOW_MS
from domainstream.outbox.sql.tables import outbox_table, relay_table


class InspectionQueries(NamedTuple):
    """What the inspection asks the database."""

    rows: TextClause
    """Returns channel and rows, of the first `limit` rows."""

    oldest: TextClause
    """Returns the age of the row with the lowest number, in milliseconds."""

    statistics: TextClause
    """Returns an estimate of the rows, and the dead ones."""

    relay: TextClause
    """Returns the time and the relay's row, in which everything is NULL if there is none."""

    waiting: TextClause
    """Returns the messages that contain the bytes `part`."""

    writers: TextClause | None
    """Returns the fields of `OpenWriter`; None where writers cannot be seen."""


def queries_for(dialect: Dialect, table: Table) -> InspectionQueries:
    """Return the queries for an outbox."""
    quoted = dialect.identifier_preparer.format_table
    own = outbox_table(MetaData(), name=table.name, schema=table.schema)
    outbox, relay, now = quoted(table), quoted(relay_table(own)), NOW_MS[dialect.name]
    is_postgresql = dialect.name == "postgresql"
    age = (
        "CAST(extract(epoch FROM clock_timestamp() - created_at) * 1000 AS bigint)"
        if is_postgresql
        else "CAST((julianday('now') - julianday(created_at)) * 86400000 AS INTEGER)"
    )
    statistics = (
        text(
            "SELECT n_live_tup, n_dead_tup FROM pg_stat_all_tables WHERE relid = CAST(:outbox AS regclass)"
        ).bindparams(bindparam("outbox", outbox, Text))
        if is_postgresql
        else text(f"SELECT max(id) - min(id) + 1, NULL FROM {outbox}")
    )
    place = "position(:part in data)" if is_postgresql else "instr(data, :part)"
    columns = "owner, epoch, lease_until_ms, published, pending, held"
    return InspectionQueries(
        rows=text(
            f"SELECT channel, count(*) FROM (SELECT channel FROM {outbox} LIMIT :limit) AS rows_of GROUP BY channel"
        ),
        oldest=text(f"SELECT {age} FROM {outbox} ORDER BY id LIMIT 1"),
        statistics=statistics,
        relay=text(
            f"SELECT clock.now_ms, {columns} FROM (SELECT {now} AS now_ms) AS clock LEFT JOIN {relay} ON name = :name"
        ).bindparams(bindparam("name", table.name, Text)),
        waiting=text(f"SELECT data FROM {outbox} WHERE {place} > 0").bindparams(bindparam("part", type_=LargeBinary)),
        writers=_writers_query(outbox) if is_postgresql else None,
    )


def _writers_query(outbox: str) -> TextClause:
    """Return the query for the sessions and prepared transactions that hold a lock of a writer, or a stronger one.

    Their statements are not asked for: they may hold data.
    """
    values: dict[str, Any] = {"outbox": outbox, "relay": RELAY_APPLICATION}
    return text(
        "SELECT l.pid, p.gid AS prepared, coalesce(p.owner, a.usename) AS user, a.application_name AS application, "
        "host(a.client_addr) AS address, CASE WHEN p.gid IS NULL THEN a.state ELSE 'prepared' END AS state, "
        "CAST(extract(epoch FROM clock_timestamp() - coalesce(p.prepared, a.xact_start)) * 1000 AS bigint) AS open_ms, "
        "max(l.mode) AS lock "
        "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
        "LEFT JOIN pg_prepared_xacts p "
        "ON l.pid IS NULL AND l.virtualtransaction LIKE '%/' || CAST(p.transaction AS text) "
        "WHERE l.locktype = 'relation' "
        "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND l.relation = CAST(:outbox AS regclass) AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') "
        "AND l.pid IS DISTINCT FROM pg_backend_pid() "
        # Of other roles, a user without pg_read_all_stats sees no type; the server's own processes have no role.
        "AND (l.pid IS NULL OR a.application_name <> :relay "
        "AND (a.backend_type = 'client backend' OR a.backend_type IS NULL AND a.usesysid IS NOT NULL)) "
        "GROUP BY l.pid, p.gid, p.owner, p.prepared, "
        "a.usename, a.application_name, a.client_addr, a.state, a.xact_start "
        "HAVING coalesce(clock_timestamp() - coalesce(p.prepared, a.xact_start) > interval '1 second', true) "
        "ORDER BY coalesce(p.prepared, a.xact_start) LIMIT 10"
    ).bindparams(*(bindparam(name, value, Text) for name, value in values.items()))
