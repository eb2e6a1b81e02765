"""The statements of a relay, once for PostgreSQL and once for SQLite.

Those that read rows return `id, event_id, channel, data`; ids and channels are bound as arrays in PostgreSQL and as
JSON in SQLite, so that each statement has one text however many they are.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Dialect, Integer, MetaData, Table, Text, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from domainstream.outbox.sql.tables import archive_table, outbox_table, plain_dialect, relay_table

COLUMNS: Final = "id, event_id, channel, data"
_ARCHIVED: Final = "id, event_id, channel, partition_key, data, created_at"
NOW_MS: Final = {
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
}
"""The time of the database in milliseconds since 1970, by dialect."""


class Statements(NamedTuple):
    """What a relay asks the database."""

    create_row: TextClause
    """Adds the relay's row; does nothing if it exists."""

    unblock: TextClause | None
    """Ends the transaction of a relay that has let its lease expire within it, and waits for its client; lets what
    follows wait for locks no longer than a lease. None where no lock outlives a suspended process's turn."""

    take: TextClause
    """Takes the lease for `owner`; returns epoch, producer, sequence and pending, or nothing while another has it."""

    renew: TextClause
    """Renews the lease of `epoch`; returns held and the time in milliseconds, or nothing once it is lost.

    In PostgreSQL it also deletes or archives the rows with these `ids`, unless the lease is lost.
    """

    noted: TextClause
    """Returns the rows with these `ids`."""

    settle: Sequence[TextClause]
    """Archive and delete the rows with these `ids`; empty where `renew` does."""

    read_on: TextClause
    """Returns up to `count` rows above `highest`, but for those of channels in `held`."""

    read_gaps: TextClause | None
    """The same, and those between `firsts` and `lasts`, in one snapshot; None where numbers have no gaps."""

    peek: str
    """Looks for rows above the number that is to be written after it."""

    note: TextClause
    """Notes `producer`, `sequence`, `pending` and `held` of `epoch`, and adds to `published`."""

    release: TextClause
    """Gives the lease of `epoch` back."""

    sequence_cache: TextClause | None
    """Returns how many numbers a session draws at once; None where it is always one."""

    writers: TextClause | None
    """Returns the transactions that may still insert rows with numbers drawn before; None where none can."""

    @property
    def all(self) -> list[TextClause]:
        """Every statement that is run with parameters."""
        return [each for each in (*self, *self.settle) if isinstance(each, TextClause)]

    @property
    def _has_arrays(self) -> bool:
        """PostgreSQL has, SQLite has not; nor has it gaps."""
        return self.read_gaps is not None

    def array(self, values: Sequence[str]) -> Any:
        """Return values as an array of PostgreSQL, or as the JSON that SQLite's `json_each` reads."""
        return values if self._has_arrays else msgspec.json.encode(values).decode()

    def numbers(self, row_ids: Sequence[int]) -> str:
        """Return row ids as the text of an array of PostgreSQL, which drivers make slowly, or as JSON."""
        array = msgspec.json.encode(row_ids).decode()
        return f"{{{array[1:-1]}}}" if self._has_arrays else array


def statements_for(dialect: Dialect, table: Table, *, archive: bool) -> Statements:
    """Return the statements for an outbox; `archive` keeps what was published."""
    quoted = plain_dialect(dialect.name).identifier_preparer.format_table
    own = outbox_table(MetaData(), name=table.name, schema=table.schema)
    outbox, relay, sent = quoted(table), quoted(relay_table(own)), quoted(archive_table(own))
    make = _postgresql if dialect.name == "postgresql" else _sqlite
    return make(table.name, outbox, relay, sent if archive else None)


def _shared(name: str, relay: str, now: str, guard: str = "") -> dict[str, TextClause]:
    """Return the statements on the relay's row that differ only in how the time is asked for, and in the guard."""
    mine = "WHERE name = :name AND epoch = :epoch"
    own = bindparam("name", name, Text)
    texts = {
        # An existing row is looked at first: an insert would wait for whoever is changing it, suspended or not.
        "create_row": f"INSERT INTO {relay} (name) SELECT :name "
        f"WHERE NOT EXISTS (SELECT 1 FROM {relay} WHERE name = :name) ON CONFLICT DO NOTHING",
        "take": f"UPDATE {relay} SET owner = :owner, epoch = epoch + 1, lease_until_ms = {now} + :lease_ms "
        f"WHERE name = :name AND (lease_until_ms < {now} OR owner = :owner) "
        f"RETURNING epoch, producer, sequence, pending{guard}",
        "note": f"UPDATE {relay} SET producer = :producer, sequence = :sequence, pending = :pending, held = :held, "
        f"published = published + :published {mine}",
        "release": f"UPDATE {relay} SET owner = NULL, lease_until_ms = 0 {mine}",
    }
    statements = {key: text(value).bindparams(own) for key, value in texts.items()}
    return statements | {"take": statements["take"].bindparams(bindparam("lease_ms", type_=BigInteger))}


def _postgresql(name: str, outbox: str, relay: str, sent: str | None) -> Statements:
    now = NOW_MS["postgresql"]
    ids = "id = ANY(CAST(CAST(:ids AS text) AS bigint[]))"
    held = bindparam("held", type_=ARRAY(Text))
    # One round trip less than two statements; a relay whose lease is lost deletes nothing.
    gone = f"gone AS (DELETE FROM {outbox} WHERE {ids} AND EXISTS(SELECT 1 FROM fence)"
    if sent is not None:
        gone += f" RETURNING {_ARCHIVED}), kept AS (INSERT INTO {sent} ({_ARCHIVED}) SELECT * FROM gone"
    read_on = f"SELECT {COLUMNS} FROM {outbox} WHERE id > :highest AND channel <> ALL(:held) ORDER BY id LIMIT :count"
    # LATERAL, because a plain join of the gaps would scan the table.
    read_gaps = (
        "(SELECT late.* FROM unnest(:firsts, :lasts) AS gap(first, last) CROSS JOIN LATERAL ("
        f"SELECT {COLUMNS} FROM {outbox} WHERE id BETWEEN gap.first AND gap.last AND channel <> ALL(:held) "
        f"ORDER BY id LIMIT :count) late ORDER BY late.id LIMIT :count) UNION ALL ({read_on}) ORDER BY id"
    )
    # A relay that is suspended within a transaction must not block its successor, nor lose a note that was committed.
    guard = (
        ", set_config('idle_in_transaction_session_timeout', CAST(:lease_ms AS text), true), "
        "CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END"
    )
    shared: Any = _shared(name, relay, now, guard)
    return Statements(
        **shared,
        unblock=_unblocking(name, relay),
        renew=text(
            f"WITH fence AS (UPDATE {relay} SET lease_until_ms = {now} + :lease_ms "
            f"WHERE name = :name AND epoch = :epoch RETURNING held, {now}{guard}), {gone}) SELECT * FROM fence"
        ).bindparams(bindparam("name", name, Text), bindparam("lease_ms", type_=BigInteger)),
        noted=text(f"SELECT {COLUMNS} FROM {outbox} WHERE {ids} ORDER BY id"),
        settle=(),
        read_on=text(read_on).bindparams(held),
        read_gaps=text(read_gaps).bindparams(
            held, bindparam("firsts", type_=ARRAY(BigInteger)), bindparam("lasts", type_=ARRAY(BigInteger))
        ),
        peek=f"SELECT 1 FROM {outbox} WHERE id >",
        sequence_cache=text(
            "SELECT seqcache FROM pg_sequence WHERE seqrelid = CAST(pg_get_serial_sequence(:outbox, 'id') AS regclass)"
        ).bindparams(bindparam("outbox", outbox, Text)),
        writers=text(
            "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND relation = CAST(:outbox AS regclass) AND mode <> 'AccessShareLock' "
            "AND pid IS DISTINCT FROM pg_backend_pid()"
        ).bindparams(bindparam("outbox", outbox, Text)),
    )


def _unblocking(name: str, relay: str) -> TextClause:
    """Return what ends a transaction that its suspended relay would leave open.

    The timeout of the guard does not count while a relay is suspended between the parts of a message, or while the
    server cannot send it all of a batch. The lock timeout lets a stand-by look again.
    """
    statement = (
        "SELECT set_config('lock_timeout', CAST(:lease_ms AS text), true), (SELECT count(pg_terminate_backend(pid)) "
        f"FROM {relay} own, pg_locks held JOIN pg_stat_activity other USING (pid) "
        f"WHERE own.name = :name AND own.lease_until_ms < {NOW_MS['postgresql']} AND held.locktype = 'relation' "
        "AND held.granted AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND held.relation = CAST(:relay AS regclass) AND held.mode = 'RowExclusiveLock' AND pid <> pg_backend_pid() "
        "AND other.wait_event_type = 'Client' "
        "AND other.xact_start < clock_timestamp() - make_interval(secs => :lease_ms / 1000.0))"
    )
    return text(statement).bindparams(
        bindparam("name", name, Text), bindparam("relay", relay, Text), bindparam("lease_ms", type_=BigInteger)
    )


def _sqlite(name: str, outbox: str, relay: str, sent: str | None) -> Statements:
    now = NOW_MS["sqlite"]
    chosen = "WHERE id IN (SELECT value FROM json_each(:ids))"
    archive = [] if sent is None else [f"INSERT INTO {sent} ({_ARCHIVED}) SELECT {_ARCHIVED} FROM {outbox} {chosen}"]
    lease = bindparam("lease_ms", type_=Integer)
    shared: Any = _shared(name, relay, now)
    return Statements(
        **shared,
        renew=text(
            f"UPDATE {relay} SET lease_until_ms = {now} + :lease_ms WHERE name = :name AND epoch = :epoch "
            f"RETURNING held, {now}"
        ).bindparams(bindparam("name", name, Text), lease),
        noted=text(f"SELECT {COLUMNS} FROM {outbox} {chosen} ORDER BY id"),
        settle=[text(each) for each in [*archive, f"DELETE FROM {outbox} {chosen}"]],
        read_on=text(
            f"SELECT {COLUMNS} FROM {outbox} WHERE id > :highest "
            "AND channel NOT IN (SELECT value FROM json_each(:held)) ORDER BY id LIMIT :count"
        ),
        unblock=None,
        read_gaps=None,
        peek=f"SELECT 1 FROM {outbox} WHERE id >",
        sequence_cache=None,
        writers=None,
    )
