"""Aggregates keep their events, and `collect` takes them: the events share the fate of the aggregate's attributes."""

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from integration.outbox.conftest import Store, UrlOf
from sqlalchemy import ForeignKey, MetaData, create_engine, event, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from support.channels import Channel
from support.coding import CodingEvent, channel_for, created

from domainstream.errors import MapperError, OutboxError
from domainstream.event import BaseEvent
from domainstream.outbox import Outbox, outbox_table


class Wards(DeclarativeBase):
    """Models with a constraint that fails at the commit, not before."""


class Ward(Wards):
    """An aggregate whose id comes from the database."""

    __tablename__ = f"wards_{uuid4().hex[:8]}"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    parent: Mapped[int | None] = mapped_column(
        ForeignKey(f"{__tablename__}.id", deferrable=True, initially="DEFERRED"), default=None
    )

    def record(self, fact: BaseEvent[Any]) -> None:
        """Keep an event; the attribute is not mapped, so that an object which was loaded has none."""
        self.__dict__.setdefault("_events", []).append(fact)

    def pull_events(self) -> list[BaseEvent[Any]]:
        """Take the events."""
        events: list[BaseEvent[Any]] = self.__dict__.pop("_events", [])
        return events


Sessions = sessionmaker[Session]


@pytest.fixture(params=["sqlite", "postgresql"])
def collected(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> Iterator[tuple[Store, Sessions]]:
    """A store, and sessions that are collected from."""
    url = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else postgres_url()
    store = Store(url, url)
    if request.param == "sqlite":
        event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
        store.engine.dispose()
    Wards.metadata.create_all(store.engine)
    sessions = sessionmaker(store.engine)
    store.outbox.collect(sessions, lambda aggregate: aggregate.pull_events())
    yield store, sessions
    Wards.metadata.drop_all(store.engine)
    store.close()


Collected = tuple[Store, Sessions]


def new_ward(*facts: BaseEvent[Any], **fields: Any) -> Ward:
    """Return an aggregate with events."""
    ward = Ward(**fields)
    for fact in facts:
        ward.record(fact)
    return ward


def test_new_changed_unchanged_and_deleted_aggregates_are_collected_from(collected: Collected) -> None:
    """It does not matter what happens to the aggregate's row, if anything does."""
    store, sessions = collected
    facts = [created() for _ in range(4)]
    with sessions() as session:
        ward = new_ward(facts[0])
        session.add(ward)
        session.commit()
        ward.name = "changed"
        ward.record(facts[1])
        session.commit()
        ward.record(facts[2])
        session.commit()
        session.delete(ward)
        ward.record(facts[3])
        session.commit()
        session.commit()
    assert store.stored() == [each.id for each in facts]


def test_deleted_aggregate_is_collected_from_after_an_autoflush(collected: Collected) -> None:
    """A query between deletion and commit flushes the deletion, after which the session holds the object no more."""
    store, sessions = collected
    fact = created()
    with sessions.begin() as session:
        session.add(new_ward(id=1))
        session.flush()
        ward = session.get_one(Ward, 1)
        ward.record(fact)
        session.delete(ward)
        assert session.scalars(select(Ward)).all() == []
    assert store.stored() == [fact.id]


def test_forgotten_aggregate_is_collected_from_after_an_autoflush(collected: Collected) -> None:
    """A session refers weakly to what it has flushed; the event of an aggregate that is garbage then is stored."""
    store, sessions = collected
    fact = created()
    with sessions.begin() as session:
        session.add(new_ward(id=1))
    with sessions.begin() as session:
        session.get_one(Ward, 1).name = "changed"
        session.get_one(Ward, 1).record(fact)
        session.scalars(select(Ward.name)).all()
        gc.collect()
        assert len(session.identity_map) == 0
    assert store.stored() == [fact.id]


def test_events_are_pulled_after_the_flush(collected: Collected) -> None:
    """An aggregate that builds its events when they are pulled has the id that the database gave it."""
    store, sessions = collected
    built: list[BaseEvent[Any]] = []

    def pull(ward: Ward) -> list[BaseEvent[Any]]:
        if built:
            return []
        built.append(created(aggregate_id=str(ward.id)))
        return built

    other = sessionmaker(store.engine)
    store.outbox.collect(other, pull)
    with other.begin() as session:
        ward = Ward()
        session.add(ward)
    with sessions() as session:
        assert [each.aggregate_id for each in built] == [str(session.merge(ward).id)]
    assert store.stored() == [built[0].id]


def test_collecting_loads_nothing(collected: Collected) -> None:
    """Neither expired objects nor a rollback cause a query."""
    store, sessions = collected
    with sessions() as session:
        wards = [new_ward(created()) for _ in range(3)]
        session.add_all(wards)
        session.commit()
        assert all(inspect(ward).expired for ward in wards)
        statements: list[str] = []
        event.listen(store.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        wards[0].record(created())
        session.commit()
        wards[0].record(created())
        session.rollback()
    assert [each.split()[0] for each in statements if "BEGIN" not in each] == ["INSERT"]
    assert len(store.stored()) == 4


def test_detached_aggregate_gives_its_events_to_its_next_session(collected: Collected) -> None:
    """A session that is closed without commit leaves changes and events to the object, and so to the next session."""
    store, sessions = collected
    fact = created()
    with sessions.begin() as session:
        session.add(new_ward(id=1))
    with sessions() as session:
        ward = session.get_one(Ward, 1)
        ward.name = "changed"
        ward.record(fact)
    assert store.stored() == []
    with sessions.begin() as session:
        session.add(ward)
    with sessions() as session:
        assert session.get_one(Ward, 1).name == "changed"
    assert store.stored() == [fact.id]


@pytest.mark.parametrize("is_rolled_back", [True, False], ids=["rolled back", "only closed"])
def test_new_aggregate_that_was_flushed_keeps_its_events_only_after_a_rollback(
    collected: Collected, *, is_rolled_back: bool
) -> None:
    """SQLAlchemy takes it for stored when the session is closed, so that its row is not inserted again either."""
    store, sessions = collected
    fact = created()
    with sessions() as session:
        session.add(ward := new_ward(fact, id=1))
        session.flush()
        if is_rolled_back:
            session.rollback()
    with sessions.begin() as session:
        session.add(ward)
    with sessions() as session:
        assert len(session.scalars(select(Ward)).all()) == is_rolled_back
    assert store.stored() == ([fact.id] if is_rolled_back else [])


def test_new_aggregate_keeps_its_events_when_the_commit_fails(collected: Collected) -> None:
    """It keeps its attributes as well: once they are right, it is added again, and its events are stored once."""
    store, sessions = collected
    facts = [created(), created()]
    with sessions() as session:
        ward = new_ward(facts[0], id=1, parent=404)
        session.add(ward)
        session.flush()
        ward.record(facts[1])
        with pytest.raises(DBAPIError):
            session.commit()
        session.rollback()
        assert store.stored() == []
        ward.parent = None
        session.add(ward)
        session.commit()
        session.commit()
    assert store.stored() == [each.id for each in facts]


class DeliberateError(Exception):
    """Ends a transaction."""


def failing_once(fails_for: BaseEvent[Any]) -> Callable[[CodingEvent], Channel | None]:
    """Return a mapper that fails when it is called for this event for the first time."""
    left = [fails_for]

    def mapper(fact: CodingEvent) -> Channel | None:
        if left and fact is left[0]:
            left.clear()
            raise DeliberateError
        return channel_for(fact)

    return mapper


@pytest.mark.parametrize("end", ["rollback", "commit"])
def test_new_aggregates_keep_their_events_when_the_mapper_fails(collected: Collected, end: str) -> None:
    """Also those that were taken before: all are stored once, whether the session is rolled back first or not."""
    store, _ = collected
    facts = [created() for _ in range(4)]
    outbox = Outbox(channel_for=failing_once(facts[2]), source="coding", table=store.outbox.table)
    sessions = sessionmaker(store.engine)
    outbox.collect(sessions, lambda aggregate: aggregate.pull_events())
    with sessions() as session:
        wards = [new_ward(*facts[:1], id=1), new_ward(id=2)]
        session.add_all(wards)
        session.flush()
        wards[0].record(facts[1])
        wards[1].record(facts[2])
        with pytest.raises(DeliberateError):
            session.commit()
        if end == "rollback":
            session.rollback()
            session.add_all(wards)
        wards[1].record(facts[3])
        session.commit()
    assert sorted(store.stored()) == sorted(each.id for each in facts)
    assert store.stored().index(facts[0].id) < store.stored().index(facts[1].id)
    assert store.stored().index(facts[2].id) < store.stored().index(facts[3].id)


def test_loaded_aggregate_loses_its_events_with_its_changes_when_the_mapper_fails(collected: Collected) -> None:
    """After the rollback the next commit stores none of what never happened."""
    store, _ = collected
    lost, kept = created(), created()
    outbox = Outbox(channel_for=failing_once(lost), source="coding", table=store.outbox.table)
    sessions = sessionmaker(store.engine)
    outbox.collect(sessions, lambda aggregate: aggregate.pull_events())
    with sessions() as session:
        session.add(ward := new_ward(id=1))
        session.commit()
        ward.name = "not committed"
        ward.record(lost)
        with pytest.raises(DeliberateError):
            session.commit()
        session.rollback()
        ward.record(kept)
        session.commit()
    assert store.stored() == [kept.id]


def test_each_collecting_outbox_must_be_bound(collected: Collected, tmp_path: Path) -> None:
    """Where a session has several databases and only one of two outboxes is among its binds, its commit fails."""
    store, _ = collected
    other = Outbox(
        channel_for=channel_for, source="coding", table=outbox_table(MetaData(), name=f"{store.outbox.table.name}_2")
    )
    elsewhere = create_engine(f"sqlite:///{tmp_path}/other.db")
    with elsewhere.begin() as connection:
        other.create_table(connection)
    sessions = sessionmaker(elsewhere, binds={Ward: store.engine, store.outbox.table: store.engine})
    store.outbox.collect(sessions, lambda aggregate: aggregate.pull_events()[:1])
    other.collect(sessions, lambda _: [created()])
    with sessions() as session:
        session.add(new_ward(created()))
        with pytest.raises(OutboxError, match=r"outbox\.table"):
            session.commit()
    assert store.stored() == []
    elsewhere.dispose()


def test_loaded_aggregate_loses_its_events_with_its_changes(collected: Collected) -> None:
    """After a rollback it is as the database has it: the next commit stores none of what never happened."""
    store, sessions = collected
    kept = created()
    with sessions.begin() as session:
        session.add(new_ward(id=1))
    with sessions() as session:
        ward = session.get_one(Ward, 1)
        ward.parent = 404
        ward.record(created())
        with pytest.raises(DBAPIError):
            session.commit()
        session.rollback()
        ward.name = "not committed"
        ward.record(created())
        session.rollback()
        ward.name = "changed"
        ward.record(kept)
        session.commit()
    assert store.stored() == [kept.id]


def test_savepoint_decides_about_the_events_recorded_in_it(collected: Collected) -> None:
    """What an aggregate recorded before a savepoint is stored although the savepoint is rolled back."""
    store, sessions = collected
    kept = [created(), created(), created()]
    with sessions.begin() as session:
        ward = new_ward(kept[0], id=1)
        session.add(ward)
        with suppress(MapperError), session.begin_nested():
            ward.name = "lost"
            ward.record(created())
            session.add(new_ward(created(), id=2))
            session.flush()
            ward.record(created())
            raise MapperError("", ["deliberate"])
        with session.begin_nested():
            ward.record(kept[1])
        ward.record(kept[2])
    assert store.stored() == [each.id for each in kept]


def test_events_of_an_open_savepoint_are_collected(collected: Collected) -> None:
    """The commit that releases a savepoint takes the events of its aggregates along."""
    store, sessions = collected
    facts = [created(), created()]
    with sessions.begin() as session:
        session.begin_nested()
        session.add(new_ward(facts[0]))
        session.begin_nested()
        session.add(new_ward(facts[1]))
    assert sorted(store.stored()) == sorted(each.id for each in facts)


def test_events_of_a_merged_aggregate_stay_with_the_given_one(collected: Collected) -> None:
    """`merge` copies what is mapped into another object; the events are added by whoever calls it."""
    store, sessions = collected
    facts = [created(), created()]
    ward = new_ward(*facts, id=1)
    with sessions.begin() as session:
        session.merge(ward)
    assert store.stored() == []
    with sessions.begin() as session:
        session.merge(ward)
        pulled: list[Any] = ward.pull_events()
        store.outbox.add_many(session, pulled)
    assert store.stored() == [each.id for each in facts]


def test_each_sessionmaker_has_its_own_way_to_collect(collected: Collected) -> None:
    """Sessions of other makers keep their aggregates' events, also when events are added to them."""
    store, sessions = collected
    store.outbox.collect(sessionmaker(store.engine), lambda _: pytest.fail("this is for other sessions"))
    added, kept = created(), created()
    with Session(store.engine) as session, session.begin():
        ward = new_ward(kept)
        session.add(ward)
        store.outbox.add(session, added)
    assert store.stored() == [added.id]
    with sessions.begin() as session:
        session.add(ward)
    assert store.stored() == [added.id, kept.id]


def test_pull_events_must_take_them(collected: Collected) -> None:
    """A function that leaves the events where they are would store them again and again; it is an error."""
    store, sessions = collected
    other = sessionmaker(store.engine)
    fact = created()
    store.outbox.collect(other, lambda _: [fact])
    with pytest.raises(OutboxError, match="must leave the aggregate without"), other.begin() as session:
        session.add(ward := Ward())
    with sessions() as session:
        assert ward.name == ""
        assert session.scalars(select(Ward)).all() == []
    assert store.stored() == []
