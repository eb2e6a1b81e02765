"""Arguments of `domainstream new`: names and fields."""

import pytest

from domainstream.tools.scaffold.errors import MisspeltError, RefusedError
from domainstream.tools.scaffold.names import kebab, near_or_known, package_problems, pascal, snake, with_article
from domainstream.tools.scaffold.payload import parse_fields


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
    """Names in kebab, snake, Pascal and upper case are equivalent; a number belongs to the word before it."""
    assert snake(typed, "name") == name
    assert snake(kebab(name), "name") == snake(pascal(name), "name") == name


@pytest.mark.parametrize("typed", ["", "2stay", "stay!", "_stay", "été", "a b", "../a", "stay_"])
def test_other_characters_are_refused(typed: str) -> None:
    """The error of a name with other characters names the argument."""
    with pytest.raises(RefusedError, match="The name of the service cannot be used"):
        snake(typed, "name of the service")


@pytest.mark.parametrize("name", ["class", "json", "redis", "contracts", "tests"])
def test_service_shadows_no_package(name: str) -> None:
    """A service cannot be named like a keyword, a module of the standard library, or a package that services import."""
    assert len(list(package_problems(name))) == 1


def test_sentences_have_articles() -> None:
    """Generated sentences use the right article."""
    assert with_article("medical_stay") == "a medical stay"
    assert with_article("optimization") == "an optimization"


def test_similar_name_is_suggested() -> None:
    """A message suggests a similar name, or lists all known names where none is similar."""
    assert near_or_known("codin", ["coding", "valuation"]) == " Did you mean coding?"
    assert near_or_known("x", ["coding"]) == " Known: coding."
    assert near_or_known("x", []) == " Known: none yet."


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
    """Each field type has its annotation and an example; an optional field is None by default."""
    [field] = parse_fields([typed])
    assert field.declaration == declaration
    assert field.example == example


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("score", "'score' is not a field; use name:type, for example score:str"),
        ("score:", "use name:type"),
        (":str", "for example stay_id:str"),
        ("score:strr", "strr is not a type. Did you mean str\\? Known: str, int, "),
        ("score:dict", "dict is not a type. .*list"),
        ("score:list[strr]", "strr is not a type"),
        ("score:list", r"list is not a type. Known: .*list\[...\]"),
        ("score:?", "is not a type"),
    ],
)
def test_invalid_field_is_refused(typed: str, message: str) -> None:
    """The error of an invalid field shows the form of a field or lists the known types."""
    with pytest.raises(MisspeltError, match=message):
        parse_fields([typed])


@pytest.mark.parametrize("name", ["class", "str", "list", "dt"])
def test_fields_shadow_nothing(name: str) -> None:
    """A field named like a keyword or a type is refused, and another name is suggested."""
    with pytest.raises(RefusedError, match=f"use, for example: {name}_value"):
        parse_fields([f"{name}:str"])


def test_fields_are_unique() -> None:
    """Two fields of the same name are refused, even in different cases."""
    with pytest.raises(RefusedError, match="stay_id is given twice"):
        parse_fields(["stay_id:str", "StayId:int"])
