"""What is typed: names and fields."""

import pytest

from domainstream.tools.scaffold.errors import MisspeltError, RefusedError
from domainstream.tools.scaffold.fields import parse_fields
from domainstream.tools.scaffold.names import did_you_mean, kebab, package_problems, pascal, snake, with_article


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("medical-stay", "medical_stay"),
        ("medical_stay", "medical_stay"),
        ("MedicalStay", "medical_stay"),
        ("MEDICAL_STAY", "medical_stay"),
        ("HTTPServerStarted", "http_server_started"),
        ("stay-2-created", "stay2_created"),
        ("a", "a"),
    ],
)
def test_names_are_taken_in_any_case(typed: str, name: str) -> None:
    """Kebab, snake, Pascal and upper case mean the same; a number belongs to the word before it."""
    assert snake(typed, "name") == name
    assert snake(kebab(name), "name") == snake(pascal(name), "name") == name


@pytest.mark.parametrize("typed", ["", "2stay", "stay!", "_stay", "été", "a b", "../a", "stay_"])
def test_other_characters_are_refused(typed: str) -> None:
    """The message names the argument and what was typed."""
    with pytest.raises(RefusedError, match="The name of the service cannot be used"):
        snake(typed, "name of the service")


@pytest.mark.parametrize("name", ["class", "json", "redis", "contracts", "tests"])
def test_a_service_hides_no_package(name: str) -> None:
    """Words of Python, modules of its library, and what every service imports are refused."""
    assert len(list(package_problems(name))) == 1


def test_sentences_have_articles() -> None:
    """What is generated reads as English."""
    assert with_article("medical_stay") == "a medical stay"
    assert with_article("optimization") == "an optimization"


def test_what_was_meant_is_guessed() -> None:
    """A near name is suggested, else all are listed."""
    assert did_you_mean("codin", ["coding", "valuation"]) == "did you mean coding?"
    assert did_you_mean("x", ["coding"]) == "known: coding."
    assert did_you_mean("x", []) == "known: none yet."


@pytest.mark.parametrize(
    ("typed", "declaration", "example"),
    [
        ("stay_id:str", "stay_id: str", '"stay-id"'),
        ("StayId:str", "stay_id: str", '"stay-id"'),
        ("codes:list[str]", "codes: list[str]", '["codes"]'),
        ("score:float?", "score: float | None = None", "0.5"),
        ("days:list[date?]?", "days: list[dt.date | None] | None = None", "[dt.date(2026, 1, 31)]"),
        ("price:Decimal", "price: Decimal", 'Decimal("1.50")'),
        ("id:uuid", "id: UUID", "UUID(int=1)"),
        ("n:int", "n: int", "1"),
        ("flag:bool", "flag: bool", "True"),
        (
            "at:datetime",
            "at: Annotated[dt.datetime, Meta(tz=True)]",
            "dt.datetime(2026, 1, 31, 12, 0, tzinfo=dt.UTC)",
        ),
    ],
)
def test_fields_are_declared(typed: str, declaration: str, example: str) -> None:
    """Each type has its annotation and an example; what may be missing is None by default."""
    [field] = parse_fields([typed])
    assert field.declaration == declaration
    assert field.example == example


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("score", "'score' is no field; type: name:type, for example score:str"),
        ("score:", "type: name:type"),
        (":str", "for example stay_id:str"),
        ("score:strr", "strr is no type; did you mean str\\? Known: str, int, "),
        ("score:dict", "dict is no type; .*list"),
        ("score:list[strr]", "strr is no type"),
        ("score:list", r"did you mean list\[...\]\?"),
        ("score:?", "is no type"),
    ],
)
def test_what_is_no_field_is_told(typed: str, message: str) -> None:
    """The message says what is known."""
    with pytest.raises(MisspeltError, match=message):
        parse_fields([typed])


@pytest.mark.parametrize("name", ["class", "str", "list", "dt"])
def test_fields_hide_nothing(name: str) -> None:
    """A word of Python is refused with another name to type."""
    with pytest.raises(RefusedError, match=f"type, for example: {name}_value"):
        parse_fields([f"{name}:str"])


def test_fields_are_there_once() -> None:
    """Two fields of one name are refused, also in different cases."""
    with pytest.raises(RefusedError, match="stay_id is there twice"):
        parse_fields(["stay_id:str", "StayId:int"])
