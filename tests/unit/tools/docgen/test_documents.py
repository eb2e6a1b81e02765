"""Documents of a system: what they contain, and the output and exit codes of the commands that write them."""

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

import pydantic
import pytest
from click.testing import CliRunner, Result
from markupsafe import escape
from msgspec import Meta, defstruct
from support.channels import ARCHIVED, CALCULATED, CREATED, EVALUATED, Channel, define
from unit.tools.docgen.monorepo_system import registry

from domainstream import SENSITIVE, BaseEvent, ChannelRegistry, EventPayload
from domainstream.cli.main import cli
from domainstream.event import EventMessage
from domainstream.subscriber import AGGREGATE, PARTITION_KEY, create_multiple_handlers, to_queue
from domainstream.subscriber.subscriptions import OrderBy
from domainstream.tools.docgen.asyncapi import asyncapi_document
from domainstream.tools.docgen.catalog import catalog_of
from domainstream.tools.docgen.docstrings import field_docstrings, parse_docstring
from domainstream.tools.docgen.schemas import ALWAYS, ATTRIBUTES, schemas_of, to_draft_07
from domainstream.tools.docgen.system import documented_channels
from domainstream.tools.docgen.typescript import typescript_of

PLACE = "unit.tools.docgen.monorepo_system:registry"


class Part(pydantic.BaseModel):
    """A model within a model."""

    weight: float


class Foreign(pydantic.BaseModel):
    """A payload that msgspec does not know."""

    parts: list[Part]
    note: str = "*/ </script>"


class Kind(StrEnum):
    """A few kinds."""

    ONE = "one"


class StayId(str):
    """A string of a class of its own."""

    __slots__ = ()


class Nested(EventPayload):
    """A payload with everything. */ alert(1); /* and more.

    Attributes:
        kind: One of
            a few.
    """

    when: datetime
    """The moment."""

    kind: Kind
    foreign: Foreign
    stay: StayId
    pair: tuple[int, str] = (1, "a")
    maybe: datetime | None = None


class Unbounded(pydantic.BaseModel):
    """A model with numbers that JSON does not have."""

    limit: float = pydantic.Field(default=float("inf"), lt=float("inf"), examples=[float("nan"), 1.5])


class Endless(EventPayload):
    """A payload with numbers that JSON does not have."""

    unbounded: Unbounded
    score: Annotated[float, Meta(examples=[float("inf"), 2.5])] = float("inf")
    ratio: float = float("nan")
    pair: tuple[float, float] = (1.0, float("-inf"))
    plain: float = 3.5


@final
class Ended(BaseEvent[Endless]):
    """Ends."""

    event_type = EVALUATED.value


@final
class Evaluated(BaseEvent[Nested]):
    """Ends a comment: */ and a script: </script>."""

    event_type = EVALUATED.value


class Person(EventPayload):
    """Somebody."""

    name: Annotated[str, SENSITIVE]
    kind: Kind = Kind.ONE


class Marked(EventPayload):
    """A payload with sensitive fields."""

    note: Annotated[str, SENSITIVE] | None
    people: list[Person]
    plain: Annotated[int, Meta(ge=0)]


@final
class Told(BaseEvent[Marked]):
    """Something was told."""

    event_type = EVALUATED.value


def sample() -> ChannelRegistry:
    """Return a registry with one publisher, and channels without publisher or subscriber."""
    subscriptions: dict[Any, list[str]] = {channel: [] for channel in Channel}
    subscriptions[EVALUATED] = ["queue:b", "queue:a"]
    return ChannelRegistry.build(Channel, mappers={"coding": {Evaluated: EVALUATED}}, subscriptions=subscriptions)


def document(registry: ChannelRegistry) -> dict[str, Any]:
    """Return the AsyncAPI document of a registry."""
    return asyncapi_document(documented_channels(registry), spec="3.0.0", title="Test", release="1.0.0")


def run(*arguments: str) -> Result:
    """Call `domainstream docs`."""
    return CliRunner().invoke(cli, ["docs", *arguments])


def by_ward(event: EventMessage) -> str:
    """Return a key of the user's own."""
    return event.source


def test_every_publisher_sends_and_every_job_receives() -> None:
    """The AsyncAPI document has an operation per publisher and per subscription, and a message per event."""
    written = document(registry)
    actions = [operation["action"] for operation in written["operations"].values()]
    assert actions.count("send") == 8
    assert actions.count("receive") == 11
    assert len(written["components"]["messages"]) == len(written["channels"]) == 8


def test_channels_and_handlers_are_sorted() -> None:
    """Documents do not depend on the order of the enum and of the subscriptions."""
    channels = documented_channels(sample())
    assert [channel.value for channel in channels] == sorted(channel.value for channel in Channel)
    assert [handler.job for channel in channels for handler in channel.handlers] == ["a", "b"]


def test_partitions_are_shown() -> None:
    """The AsyncAPI document and the catalogue say over how many streams a channel is spread."""
    spread = define(EVALUATED.name, CREATED.name, partitions={EVALUATED.name: 8})
    subscriptions = {spread[EVALUATED.name]: ["queue:a"], spread[CREATED.name]: ["queue:b"]}
    mappers: Any = {"coding": {Evaluated: spread[EVALUATED.name]}}
    registry = ChannelRegistry.build(spread, mappers=mappers, subscriptions=subscriptions)
    channels = document(registry)["channels"]
    assert channels[EVALUATED.value]["x-partitions"] == 8
    assert channels[EVALUATED.value]["description"].startswith("8 Redis streams, by partition key; coding publishes")
    assert "x-partitions" not in channels[CREATED.value]
    page = catalog_of(documented_channels(registry), title="Test")
    assert page.count("Spread over 8 streams by partition key.") == 1


@pytest.mark.parametrize(
    ("order_by", "by"),
    [
        (AGGREGATE, "the aggregate's id"),
        (PARTITION_KEY, "the partition key, or the aggregate's id"),
        (by_ward, "by_ward"),
        (lambda event: event.id, "a function of the event"),
    ],
)
def test_order_of_jobs_is_shown(order_by: OrderBy, by: str) -> None:
    """The AsyncAPI document and the catalogue say by what jobs are ordered, and what a failed one does."""
    handlers: Any = {
        EVALUATED: [to_queue("billing", job="bill", order_by=order_by), to_queue("wards", job="tell")],
        CREATED: [to_queue("skipping", job="bill", order_by=order_by, on_failure="skip")],
        ARCHIVED: [],
        CALCULATED: [],
    }
    registry = ChannelRegistry.build(Channel, mappers={}, subscriptions=create_multiple_handlers(handlers))
    operations = document(registry)["operations"]
    bill = operations[f"billing.bill.receive.{EVALUATED.value}"]
    assert bill["x-bullmq"] == {"queue": "billing", "job": "bill", "order": {"by": by, "onFailure": "hold"}}
    assert bill["description"] == f"In order by {by}. Behind a job that has failed permanently, the others wait."
    assert "order" not in operations[f"wards.tell.receive.{EVALUATED.value}"]["x-bullmq"]
    assert operations[f"skipping.bill.receive.{CREATED.value}"]["description"].endswith("the others go on.")
    page = catalog_of(documented_channels(registry), title="Test")
    assert page.count(f"<td>In order by {escape(by)}.") == 2
    assert page.count('<th scope="col">Order</th>') == 2


def test_queue_whose_jobs_are_in_order_is_one_type() -> None:
    """In TypeScript, a job of several channels is listed once, also when its jobs are in order."""
    bill = to_queue("billing", job="bill", order_by=AGGREGATE)
    handlers: Any = {EVALUATED: [bill], CREATED: [bill], ARCHIVED: [], CALCULATED: []}
    registry = ChannelRegistry.build(Channel, mappers={}, subscriptions=create_multiple_handlers(handlers))
    assert typescript_of(documented_channels(registry)).count('readonly "bill": JobData<') == 1


def test_without_an_order_the_catalogue_has_no_column_for_it() -> None:
    """It is the same page as before."""
    assert "Order</th>" not in catalog_of(documented_channels(sample()), title="Test")


def test_partitions_of_a_queue_are_named() -> None:
    """The documents name the BullMQ queues that a queue is spread over, for who has a worker for each."""
    bill = to_queue("billing", job="bill", partitions=8)
    subscriptions: dict[Any, list[Any]] = {channel: [] for channel in Channel}
    subscriptions[EVALUATED] = [bill, to_queue("valuation", job="price")]
    mappers: Any = {"coding": {Evaluated: EVALUATED}}
    registry = ChannelRegistry.build(Channel, mappers=mappers, subscriptions=subscriptions)
    operations = document(registry)["operations"]
    names = [f"billing-p{number}" for number in range(8)]
    assert operations[f"billing.bill.receive.{EVALUATED.value}"]["x-bullmq"] == {
        "queue": "billing",
        "job": "bill",
        "partitions": names,
    }
    plain = operations[f"valuation.price.receive.{EVALUATED.value}"]["x-bullmq"]
    assert plain == {"queue": "valuation", "job": "price"}
    channels = documented_channels(registry)
    assert typescript_of(channels).count("/** BullMQ's queues are `billing-p0` to `billing-p7`. */") == 1
    assert "in 8 partitions, <code>billing-p0</code> to <code>billing-p7</code>" in catalog_of(channels, title="Test")


def test_sensitive_fields_are_marked() -> None:
    """The schema of a field that is marked sensitive says so, within a union, a list and a nested class too."""
    schemas = schemas_of([Told]).components
    assert "x-sensitive" in str(schemas["Marked"]["properties"]["note"])
    assert schemas["Person"]["properties"]["name"]["x-sensitive"] is True
    assert "x-sensitive" not in schemas["Marked"]["properties"]["plain"]


def test_missing_publisher_or_subscriber_is_described() -> None:
    """The description of a channel without a publisher or a subscriber says so."""
    channel = document(sample())["channels"]["domain_valuation_pricing_calculated"]
    assert channel["description"] == "No service publishes to it. No queue is subscribed to it."
    assert channel["messages"] == {}


def test_times_tuples_and_fields_are_described() -> None:
    """Dates and times have a format, tuples are written in draft 07, and both forms of field documentation are read."""
    schemas = document(sample())["components"]["schemas"]
    properties = schemas["Nested"]["properties"]
    assert properties["when"] == {"type": "string", "format": "date-time", "description": "The moment."}
    assert properties["kind"]["description"] == "One of a few."
    assert properties["maybe"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert properties["pair"]["items"] == [{"type": "integer"}, {"type": "string"}]
    assert properties["pair"]["additionalItems"] is False
    assert "Attributes" not in schemas["Nested"]["description"]


class Outer:
    """Holds a payload, whose source is indented."""

    class Renamed(EventPayload, rename="camel"):
        """A payload within a class."""

        stay_id: str
        """The stay
        that was coded."""

        kind: Annotated[Kind, Meta(description="From the type.")]
        """From the docstring."""

        _secret: ClassVar[str] = """
unindented: dedenting the source would not help"""
        """Not a field of the payload."""


class Inheriting(Outer.Renamed):
    """A payload with the fields of another."""

    codes: list[str]
    """What was coded."""


def test_docstrings_under_fields_are_read() -> None:
    """Fields of nested, renamed and inherited payloads are described; a description in the type takes precedence."""

    @final
    class Coded(BaseEvent[Inheriting]):
        """A stay was coded."""

        event_type = EVALUATED.value

    fields = schemas_of([Coded]).components["Inheriting"]["properties"]
    assert fields["stayId"]["description"] == "The stay\nthat was coded."
    assert fields["codes"]["description"] == "What was coded."
    assert fields["kind"]["description"] == "From the type."
    assert field_docstrings(Outer.Renamed).keys() == {"stay_id", "kind", "_secret"}


def test_class_without_source_has_no_field_docstrings() -> None:
    """A class that is made at run time is documented by its class docstring alone."""
    assert field_docstrings(defstruct("Made", [("stay_id", str)])) == {}


def test_pydantic_models_are_components() -> None:
    """A pydantic model and the models within it are components with names of their own."""
    schemas = document(sample())["components"]["schemas"]
    assert schemas["Nested"]["properties"]["foreign"] == {"$ref": "#/components/schemas/Foreign"}
    assert schemas["Foreign"]["properties"]["parts"]["items"] == {"$ref": "#/components/schemas/Foreign.Part"}
    assert "Foreign.Part" in schemas


def test_subclasses_of_plain_types_are_their_plain_types() -> None:
    """A field of a subclass of `str` is described as a string."""
    properties = document(sample())["components"]["schemas"]["Nested"]["properties"]
    assert properties["stay"]["type"] == "string"


def test_envelope_is_that_of_the_wire_format() -> None:
    """Every attribute of a message is described here and in the wire format, and required here if it always exists."""
    page = (Path(__file__).parents[4] / "docs" / "wire-format" / "README.md").read_text(encoding="utf-8")
    assert {*ATTRIBUTES, "data"} == set(EventMessage.__struct_fields__)
    assert all(f"`{name}`" in page for name in ATTRIBUTES)
    assert all(f"| `{name}` | always |" in page for name in ALWAYS)


def test_comments_cannot_be_ended_by_a_docstring() -> None:
    """A docstring that contains `*/` stays inside its TypeScript comment."""
    written = typescript_of(documented_channels(sample()))
    assert "*/ alert" not in written
    assert "*\\/ alert(1)" in written


def test_references_lose_no_description() -> None:
    """A description beside a reference, which draft 07 ignores, is kept; a default is data and stays as it is."""
    schema = {"$ref": "#/x", "description": "said", "default": {"prefixItems": 1}}
    assert to_draft_07(schema) == {
        "allOf": [{"$ref": "#/x"}],
        "description": "said",
        "default": {"prefixItems": 1},
    }


def test_docstring_is_split() -> None:
    """Several fields may share a text of several lines; what follows the section belongs to the description."""
    text = "Whole.\n\n    Attributes:\n        a, b (int): First\n            line.\n\n        c: Other.\n\n    After."
    assert parse_docstring(text) == ("Whole.\n\nAfter.", {"a": "First line.", "b": "First line.", "c": "Other."})


@pytest.mark.parametrize("kind", ["asyncapi", "catalog", "typescript"])
def test_committed_file_is_checked(kind: str, tmp_path: Path) -> None:
    """`--check` exits 0 for what `--output` wrote, and 1 for other text or no file, naming the command to use."""
    path = tmp_path / "document"
    missing = run(kind, PLACE, "--check", str(path))
    assert missing.exit_code == 1
    assert ("does not exist; write it again, with --output" in missing.output) is True
    assert run(kind, PLACE, "--output", str(path)).exit_code == 0
    assert run(kind, PLACE, "--check", str(path)).exit_code == 0
    path.write_text("old", encoding="utf-8")
    stale = run(kind, PLACE, "--check", str(path))
    assert stale.exit_code == 1
    assert ("is not up to date" in stale.output) is True


def test_document_goes_to_stdout() -> None:
    """Without `--output` a command writes the document to stdout, the same text each time."""
    first = run("asyncapi", PLACE, "--spec", "3.1.0", "--title", "Hospital")
    assert json.loads(first.stdout)["info"]["title"] == "Hospital"
    assert first.stdout == run("asyncapi", PLACE, "--spec", "3.1.0", "--title", "Hospital").stdout


@pytest.mark.parametrize(
    ("place", "code", "message"),
    [
        ("nonsense", 2, "name the registry as in: myapp.system:registry"),
        ("no_such_package.system:registry", 4, "there is no module no_such_package"),
        (
            "unit.tools.docgen.monorepo_system:registrie",
            4,
            "has no registrie, but it has a registry. Use: unit.tools.docgen.monorepo_system",
        ),
        ("contracts.event_publisher_channels:Chanel", 4, "Did you mean Channel?"),
        ("contracts.event_publisher_channels:Channel", 2, "is not a ChannelRegistry but Channel"),
        ("contracts.system:register", 1, "calling contracts.system:register without arguments raised TypeError"),
    ],
)
def test_wrong_place_is_reported(place: str, code: int, message: str) -> None:
    """A registry that cannot be found or imported is an exit code for scripts and a message with a fix."""
    result = run("asyncapi", place)
    assert result.exit_code == code
    assert (message in result.output) is True


def test_output_and_check_exclude_each_other(tmp_path: Path) -> None:
    """`--output` together with `--check` is a usage error."""
    path = str(tmp_path / "document")
    assert run("typescript", PLACE, "--output", path, "--check", path).exit_code == 2


def test_hostile_docstrings_stay_text() -> None:
    """A docstring can neither end the script of the catalogue nor start one."""
    page = catalog_of(documented_channels(sample()), title="</title><script>")
    assert page.count("<script") == page.count("</script>") == 1
    assert "a script: &lt;/script&gt;." in page


def test_catalogue_shows_orphans_and_examples() -> None:
    """The catalogue names channels without a publisher; each example is a message that the encoder made."""
    page = catalog_of(documented_channels(sample()), title="Test")
    assert page.count("Orphan: no service publishes to it.") == 3
    assert "2026-01-02T03:04:05Z" in page
    assert "urn:domainstream:events/domain_coding_optimization_evaluated/1" in page


def test_orphans_are_listed_first() -> None:
    """Channels without a publisher or a subscriber are listed at the top of the catalogue, if there are any."""
    top = catalog_of(documented_channels(sample()), title="Test").partition("<article")[0]
    assert "Orphans without a publisher: 3<" in top
    assert top.count('<a href="#domain_') - len(Channel) == 3 + top.count("Orphans without a subscriber: 3<") * 3 == 6
    whole = documented_channels(registry)
    joined = [channel for channel in whole if channel.publisher and channel.handlers]
    assert "Orphans" not in catalog_of(joined, title="Test").partition("<article")[0]


def test_every_event_of_the_monorepo_has_an_example() -> None:
    """Every payload of the example monorepo has an example without `Meta(examples=...)`."""
    assert catalog_of(documented_channels(registry), title="Test").count("Example of a message<") == 8


def test_numbers_that_json_does_not_have_are_left_out() -> None:
    """A default, bound or example that is infinite or not a number is left out, and the rest of the field stays."""
    schemas = schemas_of([Ended])
    fields = schemas.components["Endless"]["properties"]
    assert fields["score"] == {"type": "number", "examples": [2.5]}
    assert fields["ratio"] == {"type": "number"}
    assert "default" not in fields["pair"]
    assert fields["plain"] == {"type": "number", "default": 3.5}
    limit = schemas.components["Unbounded"]["properties"]["limit"]
    assert (limit["type"], limit["examples"], limit.keys() & {"default", "exclusiveMaximum"}) == (
        "number",
        [1.5],
        set(),
    )


def test_documents_have_only_numbers_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """The AsyncAPI document can be read by a strict parser; without leaving numbers out it could not be written."""
    subscriptions: dict[Any, list[str]] = {channel: [] for channel in Channel}
    ended = ChannelRegistry.build(Channel, mappers={"coding": {Ended: EVALUATED}}, subscriptions=subscriptions)
    channels = documented_channels(ended)
    json.loads(json.dumps(document(ended), allow_nan=False))
    assert "Infinity" not in typescript_of(channels)
    assert "Infinity" not in catalog_of(channels, title="")
    monkeypatch.setattr("domainstream.tools.docgen.schemas._is_json", lambda _: True)
    with pytest.raises(ValueError, match="not JSON compliant"):
        json.dumps(document(ended), allow_nan=False)


def test_catalogue_speaks_plain_words_and_keeps_typescript_apart() -> None:
    """Values are said in words, with their limits and what is sensitive; the types for Node.js are in a disclosure."""
    mappers: Any = {"coding": {Told: EVALUATED}}
    subscriptions: dict[Any, list[str]] = {channel: [] for channel in Channel}
    registry = ChannelRegistry.build(Channel, mappers=mappers, subscriptions=subscriptions)
    page = catalog_of(documented_channels(registry), title="Test")
    assert "<td>whole number, at least 0</td>" in page
    assert "<td>always one</td>" in page
    assert page.count('<span class="badge">sensitive</span>') == 2
    disclosed = page.partition("<summary>Types for Node.js</summary>")[2].partition("</details>")[0]
    assert "people: readonly Person[];" in disclosed


def test_catalogue_draws_the_flow_and_has_contents() -> None:
    """There is one picture of the system, one of each channel, and a link to each from the contents."""
    page = catalog_of(documented_channels(registry), title="Test")
    assert page.count('<svg class="flow"') == 1 + 8
    contents = page.partition('<nav class="contents"')[2].partition("</nav>")[0]
    assert contents.count('<a href="#domain_') == 8
    assert "coding publishes domain_coding_optimization_evaluated, which goes to valuation." in page


def test_catalogue_names_handlers_of_the_code() -> None:
    """With --system, the functions that handle the jobs are named."""
    example = str(Path(__file__).parents[4] / "examples" / "monorepo")
    assert "price_stay (valuation)" in run("catalog", PLACE, "--system", example).stdout
    assert "price_stay" not in run("catalog", PLACE).stdout
