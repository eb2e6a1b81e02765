"""The documents of a system: what they hold, and how the commands that write them answer."""

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, final

import pydantic
import pytest
from click.testing import CliRunner, Result
from support.channels import EVALUATED, Channel
from unit.tools.docgen.monorepo_system import registry

from domainstream import BaseEvent, ChannelRegistry, EventPayload
from domainstream.cli.main import cli
from domainstream.event import EventMessage
from domainstream.tools.docgen.asyncapi import asyncapi_document
from domainstream.tools.docgen.catalog import catalog_of
from domainstream.tools.docgen.docstrings import parse_docstring
from domainstream.tools.docgen.draft_07 import to_draft_07
from domainstream.tools.docgen.envelope import ALWAYS, ATTRIBUTES
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


class Nested(EventPayload):
    """A payload with everything. */ alert(1); /* and more."""

    when: datetime
    """The moment."""

    kind: Kind
    foreign: Foreign
    pair: tuple[int, str] = (1, "a")
    maybe: datetime | None = None


@final
class Evaluated(BaseEvent[Nested]):
    """Ends a comment: */ and a script: </script>."""

    event_type = EVALUATED.value


def sample() -> ChannelRegistry:
    """Return a registry with one publisher, and channels that nobody is at."""
    subscriptions: dict[Any, list[str]] = {channel: [] for channel in Channel}
    subscriptions[EVALUATED] = ["queue:b", "queue:a"]
    return ChannelRegistry.build(Channel, mappers={"coding": {Evaluated: EVALUATED}}, subscriptions=subscriptions)


def document(registry: ChannelRegistry) -> dict[str, Any]:
    """Return the AsyncAPI document of a registry."""
    return asyncapi_document(documented_channels(registry), spec="3.0.0", title="Test", release="1.0.0")


def run(*arguments: str) -> Result:
    """Call `domainstream docs`."""
    return CliRunner().invoke(cli, ["docs", *arguments])


def test_every_publisher_sends_and_every_job_receives() -> None:
    """There is an operation per publisher and per subscription, and a message per event."""
    written = document(registry)
    actions = [operation["action"] for operation in written["operations"].values()]
    assert actions.count("send") == 6
    assert actions.count("receive") == 7
    assert len(written["components"]["messages"]) == len(written["channels"]) == 6


def test_channels_and_listeners_are_sorted() -> None:
    """The order of the enum and of the subscriptions does not show."""
    channels = documented_channels(sample())
    assert [one.value for one in channels] == sorted(channel.value for channel in Channel)
    assert [job for one in channels for _, job in one.listeners] == ["a", "b"]


def test_a_loose_end_is_told() -> None:
    """A channel that nobody publishes to or listens to says so."""
    told = document(sample())["channels"]["domain_valuation_pricing_calculated"]
    assert told["description"] == "Nobody publishes to it. Nobody listens yet."
    assert told["messages"] == {}


def test_moments_tuples_and_fields_are_described() -> None:
    """Moments have a format, tuples stand as draft 07 has them, docstrings of fields are with their fields."""
    schemas = document(sample())["components"]["schemas"]
    properties = schemas["Nested"]["properties"]
    assert properties["when"] == {"type": "string", "format": "date-time", "description": "The moment."}
    assert properties["maybe"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert properties["pair"]["items"] == [{"type": "integer"}, {"type": "string"}]
    assert properties["pair"]["additionalItems"] is False
    assert "Attributes" not in schemas["Nested"]["description"]


def test_pydantic_models_are_components() -> None:
    """A model and those within it are referred to by names of their own."""
    schemas = document(sample())["components"]["schemas"]
    assert schemas["Nested"]["properties"]["foreign"] == {"$ref": "#/components/schemas/Foreign"}
    assert schemas["Foreign"]["properties"]["parts"]["items"] == {"$ref": "#/components/schemas/Foreign.Part"}
    assert "Foreign.Part" in schemas


def test_the_envelope_is_that_of_the_wire_format() -> None:
    """Every attribute of a message is described, there and here, and required where it is always there."""
    page = (Path(__file__).parents[4] / "docs" / "wire-format" / "README.md").read_text(encoding="utf-8")
    assert {*ATTRIBUTES, "data"} == set(EventMessage.__struct_fields__)
    assert all(f"`{name}`" in page for name in ATTRIBUTES)
    assert all(f"| `{name}` | always |" in page for name in ALWAYS)


def test_comments_cannot_be_ended_by_a_docstring() -> None:
    """What stands in a docstring stays in its comment."""
    written = typescript_of(documented_channels(sample()))
    assert "*/ alert" not in written
    assert "*\\/ alert(1)" in written


def test_references_lose_no_description() -> None:
    """In draft 07 nothing may stand beside a reference; a default is data and stays."""
    schema = {"$ref": "#/x", "description": "said", "default": {"prefixItems": 1}}
    assert to_draft_07(schema) == {
        "allOf": [{"$ref": "#/x"}],
        "description": "said",
        "default": {"prefixItems": 1},
    }


def test_a_docstring_is_taken_apart() -> None:
    """Several names may share a text, which may go on for lines; what follows the section is kept."""
    text = "Whole.\n\n    Attributes:\n        a, b (int): First\n            line.\n\n        c: Other.\n\n    After."
    assert parse_docstring(text) == ("Whole.\n\nAfter.", {"a": "First line.", "b": "First line.", "c": "Other."})


@pytest.mark.parametrize("kind", ["asyncapi", "catalog", "typescript"])
def test_a_committed_file_is_checked(kind: str, tmp_path: Path) -> None:
    """--check exits 0 for what --output wrote, and 1 for another or none, with what to type."""
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


def test_the_document_goes_to_stdout() -> None:
    """Without --output the JSON is what the command writes, twice the same."""
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
            "has no registrie, but a registry. Type: unit.tools.docgen.monorepo_system",
        ),
        ("contracts.event_publisher_channels:Chanel", 4, "Did you mean Channel?"),
        ("contracts.event_publisher_channels:Channel", 2, "is no ChannelRegistry but Channel"),
        ("contracts.system:register", 1, "calling contracts.system:register without arguments raised TypeError"),
    ],
)
def test_a_wrong_place_says_what_to_type(place: str, code: int, message: str) -> None:
    """The exit code tells scripts, the message people."""
    result = run("asyncapi", place)
    assert result.exit_code == code
    assert (message in result.output) is True


def test_output_and_check_exclude_each_other(tmp_path: Path) -> None:
    """Naming both is a usage error."""
    path = str(tmp_path / "document")
    assert run("typescript", PLACE, "--output", path, "--check", path).exit_code == 2


def test_hostile_docstrings_stay_text() -> None:
    """A docstring can neither end the page's script nor begin one."""
    page = catalog_of(documented_channels(sample()), title="</title><script>")
    assert page.count("<script") == page.count("</script>") == 1
    assert "a script: &lt;/script&gt;." in page


def test_the_catalogue_shows_orphans_and_examples() -> None:
    """Who is missing is said, and each example is a message that the encoder made."""
    page = catalog_of(documented_channels(sample()), title="Test")
    assert page.count("Orphan: nobody publishes to it.") == 3
    assert "2026-01-02T03:04:05Z" in page
    assert "urn:domainstream:events/domain_coding_optimization_evaluated/1" in page


def test_orphans_stand_at_the_top() -> None:
    """Channels without a publisher or without a listener are listed before all others; without any, nothing is."""
    top = catalog_of(documented_channels(sample()), title="Test").partition("<article")[0]
    assert "Orphans that nobody publishes to: 3<" in top
    assert top.count('<a href="#domain_') == 3 + top.count("Orphans that nobody listens to: 3<") * 3 == 6
    whole = documented_channels(registry)
    joined = [one for one in whole if one.publisher and one.listeners]
    assert "Orphans" not in catalog_of(joined, title="Test").partition("<article")[0]


def test_every_event_of_the_monorepo_has_an_example() -> None:
    """No payload of the example needs help to have one."""
    assert catalog_of(documented_channels(registry), title="Test").count("<details>") == 6
