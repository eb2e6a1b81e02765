"""Changes of names, forms, members and limits: real writers and readers decide which of them break the contract."""

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from pydantic.alias_generators import to_camel, to_pascal, to_snake
from support.checking import EVENTS, small_system, write_system
from support.wire import imported, message, reads

from domainstream.cli.main import cli
from domainstream.tools.check import Finding, check_project
from domainstream.tools.check.reading.wire import GENERATORS

HEAD = """
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum, auto
from typing import Annotated, Literal, NamedTuple, Optional, TypeAlias, TypedDict, Union, final

import attrs
import annotated_types as at
import msgspec
import pydantic
from msgspec import Meta
from pydantic.alias_generators import to_camel, to_pascal

from domainstream import BaseEvent, EventPayload


class StayEventType(StrEnum):
    DOMAIN_CODING_STAY_CREATED = "domain_coding_stay_created"


"""

EVENT = """

@final
class StayCreated(BaseEvent[StayPayload]):
    event_type = StayEventType.DOMAIN_CODING_STAY_CREATED
"""


class Case(NamedTuple):
    """A change, what the old and the new code send, and what `check` says."""

    before: str
    after: str
    old: str
    """A payload of the old code; JSON where it comes from still other code."""
    new: str
    """A payload of the new code, likewise."""
    message: str = ""
    """The finding's beginning; empty for a change that is not reported."""
    code: str = ""


def payload(*lines: str, base: str = "EventPayload") -> str:
    """Return a payload with these fields."""
    return f"class StayPayload({base}):\n" + "".join(f"    {line}\n" for line in lines)


def model(*lines: str, config: str = "") -> str:
    """Return a pydantic model with these fields."""
    return payload(*([f"model_config = {config}"] if config else []), *lines, base="pydantic.BaseModel")


def limited(annotation: str) -> str:
    """Return a payload whose field `a` has this type."""
    return payload(f"a: {annotation}")


WARD = "class Ward({base}):\n    A = {a}\n    B = {b}\n\n\n" + payload("ward: Ward")
ONE_WARD = "class Ward({base}):\n    A = {a}\n\n\n" + payload("ward: Ward")
POINT = "class Point({base}):\n    {first}: int\n    {second}: int\n\n\n" + payload("point: Point")
UNION = (
    "class Cash(msgspec.Struct, {cash}):\n    a: int\n\n\nclass Card(msgspec.Struct, {card}):\n    a: int\n\n\n"
    + payload("paid: Cash | Card")
)
STAY = "StayPayload(stay_id='s')"
OPEN_ENUM = (
    "class Ward(StrEnum):\n    A = 'a'\n    OTHER = '?'\n{more}\n"
    "    @classmethod\n    def _missing_(cls, value):\n        return cls.OTHER\n\n\n" + payload("ward: Ward")
)

BREAKING = {
    # names on the wire
    "rename": Case(
        payload("stay_id: str"),
        payload("stay_id: str", base="EventPayload, rename='camel'"),
        *(STAY, STAY, "StayPayload.stay_id was renamed to stayId", "DS601"),
    ),
    "rename by a constant": Case(
        "STYLE = 'kebab'\n\n\n" + payload("stay_id: str"),
        "STYLE = 'kebab'\n\n\n" + payload("stay_id: str", base="EventPayload, rename=STYLE"),
        *(STAY, STAY, "StayPayload.stay_id was renamed to stay-id", "DS601"),
    ),
    "rename by a table": Case(
        payload("stay_id: str"),
        payload("stay_id: str", base="EventPayload, rename={'stay_id': 'id'}"),
        *(STAY, STAY, "StayPayload.stay_id was removed", "DS601"),
    ),
    "rename of a base": Case(
        "class Base(EventPayload):\n    pass\n\n\n" + payload("stay_id: str", base="Base"),
        "class Base(EventPayload, rename='camel'):\n    pass\n\n\n" + payload("stay_id: str", base="Base"),
        *(STAY, STAY, "StayPayload.stay_id was renamed to stayId", "DS601"),
    ),
    "rename of an inner class": Case(
        "class Ward(msgspec.Struct):\n    bed_no: int\n\n\n" + payload("ward: Ward"),
        "class Ward(msgspec.Struct, rename='camel'):\n    bed_no: int\n\n\n" + payload("ward: Ward"),
        *(
            "StayPayload(ward=Ward(bed_no=1))",
            "StayPayload(ward=Ward(bed_no=1))",
            "Ward.bed_no was renamed to bedNo",
            "DS601",
        ),
    ),
    "name of a field": Case(
        payload("stay_id: str"),
        payload("stay_id: str = msgspec.field(name='id')"),
        *(STAY, STAY, "StayPayload.stay_id was removed", "DS601"),
    ),
    "name of a field by a constant": Case(
        "ID = 'id'\n\n\n" + payload("stay_id: str"),
        "ID = 'id'\n\n\n" + payload("stay_id: str = msgspec.field(name=ID)"),
        *(STAY, STAY, "StayPayload.stay_id was removed", "DS601"),
    ),
    "alias": Case(
        model("stay_id: str"),
        model("stay_id: str = pydantic.Field(alias='stayId')"),
        *(STAY, "StayPayload(stayId='s')", "StayPayload.stay_id was renamed to stayId", "DS601"),
    ),
    "alias in the annotation": Case(
        model("stay_id: str"),
        model("stay_id: Annotated[str, pydantic.Field(alias='stayId')]"),
        *(STAY, "StayPayload(stayId='s')", "StayPayload.stay_id was renamed to stayId", "DS601"),
    ),
    "alias generator": Case(
        model("stay_id: str"),
        model("stay_id: str", config="pydantic.ConfigDict(alias_generator=to_camel)"),
        *(STAY, "StayPayload(stayId='s')", "StayPayload.stay_id was renamed to stayId", "DS601"),
    ),
    "alias generator in a table": Case(
        model("stay_id: str", config="{'alias_generator': to_camel}"),
        model("stay_id: str", config="{'alias_generator': to_pascal}"),
        *("StayPayload(stayId='s')", "StayPayload(StayId='s')", "StayPayload.stayId was renamed to StayId", "DS601"),
    ),
    "alias generator of the statement": Case(
        model("stay_id: str"),
        payload("stay_id: str", base="pydantic.BaseModel, alias_generator=pydantic.AliasGenerator(alias=to_camel)"),
        *(STAY, "StayPayload(stayId='s')", "StayPayload.stay_id was renamed to stayId", "DS601"),
    ),
    "alias generator of a base": Case(
        "class Base(pydantic.BaseModel):\n    pass\n\n\n" + payload("stay_id: str", base="Base"),
        "class Base(pydantic.BaseModel):\n    model_config = {'alias_generator': to_camel}\n\n\n"
        + payload("stay_id: str", base="Base"),
        *(STAY, "StayPayload(stayId='s')", "StayPayload.stay_id was renamed to stayId", "DS601"),
    ),
    "serialization alias": Case(
        model("stay_id: str = ''"),
        model(
            "stay_id: str = pydantic.Field(default='', serialization_alias='id', "
            "validation_alias=pydantic.AliasChoices('id', 'stay_id'))"
        ),
        *(STAY, "StayPayload(id='s')", "StayPayload.stay_id was removed", "DS601"),
    ),
    "validation alias": Case(
        model("stay_id: str = ''"),
        model(
            "stay_id: str = pydantic.Field(default='', serialization_alias='stay_id', validation_alias='id')",
        ),
        *(STAY, STAY.replace("stay_id", "id"), "StayPayload.stay_id is read as id", "DS601"),
    ),
    # forms
    "array": Case(
        payload("stay_id: str"),
        payload("stay_id: str", base="EventPayload, array_like=True"),
        *(STAY, STAY, "StayPayload was an object and is an array", "DS606"),
    ),
    "order of an array": Case(
        POINT.format(base="msgspec.Struct, array_like=True", first="x", second="y"),
        POINT.format(base="msgspec.Struct, array_like=True", first="y", second="x"),
        *("StayPayload(point=Point(x=1, y=2))",) * 2,
        *("the elements of Point were x, y and are y, x", "DS606"),
    ),
    "order of a named tuple": Case(
        POINT.format(base="NamedTuple", first="x", second="y"),
        POINT.format(base="NamedTuple", first="y", second="x"),
        *("StayPayload(point=Point(x=1, y=2))",) * 2,
        *("the elements of Point were x, y and are y, x", "DS606"),
    ),
    "order by keyword-only fields": Case(
        "class Base(EventPayload, array_like=True):\n    b: int\n\n\n" + payload("a: int", base="Base"),
        "class Base(EventPayload, array_like=True):\n    b: int\n\n\n" + payload("a: int", base="Base, kw_only=False"),
        *("StayPayload(a=1, b=2)", "StayPayload(1, b=2)"),
        *("the elements of StayPayload were b, a and are a, b", "DS606"),
    ),
    "type of an element": Case(
        POINT.format(base="NamedTuple", first="x", second="y"),
        POINT.format(base="NamedTuple", first="x", second="y").replace("y: int", "z: str"),
        *("StayPayload(point=Point(x=1, y=2))", "StayPayload(point=Point(x=1, z='2'))"),
        *("Point.z was int and is str", "DS602"),
    ),
    "element of a named tuple": Case(
        POINT.format(base="NamedTuple", first="x", second="y"),
        POINT.format(base="NamedTuple", first="x", second="y").replace("y: int", "y: int\n    z: int = 0"),
        *("StayPayload(point=Point(x=1, y=2))", "StayPayload(point=Point(x=1, y=2, z=3))"),
        *("Point took no unknown fields, and Point.z is new", "DS607"),
    ),
    "tag": Case(
        UNION.format(cash="tag='cash'", card="tag='card'"),
        UNION.format(cash="tag='money'", card="tag='card'"),
        *("StayPayload(paid=Cash(a=1))",) * 2,
        *("Cash had type='cash' and has type='money'", "DS606"),
    ),
    "tag field": Case(
        UNION.format(cash="tag=True", card="tag=True"),
        UNION.format(cash="tag_field='kind'", card="tag_field='kind'"),
        *("StayPayload(paid=Cash(a=1))",) * 2,
        *("Cash had type='Cash' and has kind='Cash'", "DS606"),
    ),
    "tag that is the name of the class": Case(
        UNION.format(cash="tag=True", card="tag=True"),
        UNION.format(cash="tag=True", card="tag=True").replace("Cash", "Coins"),
        *("StayPayload(paid=Cash(a=1))", "StayPayload(paid=Coins(a=1))"),
        *("Coins had type='Cash' and has type='Coins'", "DS606"),
    ),
    "closed": Case(
        payload("a: int"),
        payload("a: int", base="EventPayload, forbid_unknown_fields=True"),
        *('{"a": 1, "added_later": 2}', "StayPayload(a=1)"),
        *("StayPayload takes no unknown fields any more", "DS607"),
    ),
    "closed model": Case(
        model("a: int"),
        model("a: int", config="pydantic.ConfigDict(extra='forbid')"),
        *('{"a": 1, "added_later": 2}', "StayPayload(a=1)"),
        *("StayPayload takes no unknown fields any more", "DS607"),
    ),
    "field of a closed class": Case(
        payload("a: int", base="EventPayload, forbid_unknown_fields=True"),
        payload("a: int", "b: int = 0", base="EventPayload, forbid_unknown_fields=True"),
        *("StayPayload(a=1)", "StayPayload(a=1)", "StayPayload took no unknown fields, and", "DS607"),
    ),
    # members
    "wider enum": Case(
        ONE_WARD.format(base="StrEnum", a="'a'"),
        WARD.format(base="StrEnum", a="'a'", b="'b'"),
        *("StayPayload(ward=Ward.A)", "StayPayload(ward=Ward.B)", "Ward gained 'b'", "DS608"),
    ),
    "wider literal": Case(
        limited("Literal['a']"),
        limited("Literal['a', 'b']"),
        *("StayPayload(a='a')", "StayPayload(a='b')"),
        *("StayPayload.a was Literal['a'] and is Literal['a', 'b']", "DS602"),
    ),
    "value of a number": Case(
        WARD.format(base="IntEnum", a=1, b=2),
        WARD.format(base="IntEnum", a=1, b=3),
        *("StayPayload(ward=Ward.B)", "StayPayload(ward=Ward.B)", "Ward lost 2", "DS604"),
    ),
    "automatic numbers": Case(
        WARD.format(base="IntEnum", a="auto()", b="auto()"),
        WARD.format(base="IntEnum", a=5, b="auto()"),
        *("StayPayload(ward=Ward.A)", "StayPayload(ward=Ward.A)", "Ward lost 1, 2", "DS604"),
    ),
    "enum of an own base": Case(
        "class Base(StrEnum):\n    pass\n\n\n" + ONE_WARD.format(base="Base", a="'a'"),
        "class Base(StrEnum):\n    pass\n\n\n" + ONE_WARD.format(base="Base", a="'b'"),
        *("StayPayload(ward=Ward.A)", "StayPayload(ward=Ward.A)", "Ward lost 'a'", "DS604"),
    ),
    "strict enum": Case(
        OPEN_ENUM.format(more=""),
        WARD.format(base="StrEnum", a="'a'", b="'?'"),
        *('{"ward": "b"}', "StayPayload(ward=Ward.A)", "Ward lost its _missing_", "DS604"),
    ),
    # limits
    "Meta": Case(
        limited("Annotated[int, Meta(ge=1)]"),
        limited("Annotated[int, Meta(ge=5)]"),
        *("StayPayload(a=1)", "StayPayload(a=5)", "StayPayload.a had ge=1 and has ge=5", "DS609"),
    ),
    "new limit": Case(
        limited("str"),
        limited("Annotated[str, Meta(min_length=2)]"),
        *("StayPayload(a='x')", "StayPayload(a='xy')", "StayPayload.a had no min_length and has", "DS609"),
    ),
    "exclusive bound": Case(
        limited("Annotated[float, Meta(le=5)]"),
        limited("Annotated[float, Meta(lt=5)]"),
        *("StayPayload(a=5)", "StayPayload(a=4)", "StayPayload.a had le=5 and has lt=5", "DS609"),
    ),
    "pattern": Case(
        limited("Annotated[str, Meta(pattern='^[a-z]*$')]"),
        limited("Annotated[str, Meta(pattern='^[a-c]*$')]"),
        *("StayPayload(a='z')", "StayPayload(a='a')", "StayPayload.a had pattern='^[a-z]*$' and has", "DS609"),
    ),
    "limit of an item": Case(
        limited("list[Annotated[str, Meta(max_length=9)]]"),
        limited("tuple[Annotated[str, Meta(max_length=3)], ...]"),
        *("StayPayload(a=['long'])", "StayPayload(a=('x',))", "StayPayload.a[] had max_length=9 and", "DS609"),
    ),
    "limit of a key": Case(
        limited("dict[str, Annotated[int, Meta(le=9)]]"),
        limited("dict[Annotated[str, Meta(min_length=2)], Annotated[int, Meta(le=9)]]"),
        *("StayPayload(a={'x': 1})", "StayPayload(a={'xy': 1})", "StayPayload.a{key} had no min_length", "DS609"),
    ),
    "limit of an alias": Case(
        "Cents: TypeAlias = Annotated[int, Meta(ge=0)]\n\n\n" + limited("Cents"),
        "Cents: TypeAlias = Annotated[int, Meta(ge=1)]\n\n\n" + limited("Cents"),
        *("StayPayload(a=0)", "StayPayload(a=1)", "StayPayload.a had ge=0 and has ge=1", "DS609"),
    ),
    "limit by a constant": Case(
        "MOST = 9\n\n\n" + limited("Annotated[int, Meta(le=MOST)]"),
        "MOST = 5\n\n\n" + limited("Annotated[int, Meta(le=MOST)]"),
        *("StayPayload(a=9)", "StayPayload(a=5)", "StayPayload.a had le=9 and has le=5", "DS609"),
    ),
    "Field": Case(
        model("a: int = pydantic.Field(ge=1)"),
        model("a: int = pydantic.Field(ge=5)"),
        *("StayPayload(a=1)", "StayPayload(a=5)", "StayPayload.a had ge=1 and has ge=5", "DS609"),
    ),
    "optional Field": Case(
        model("a: str | None = pydantic.Field(default=None, max_length=9)"),
        model("a: str | None = pydantic.Field(default=None, max_length=3)"),
        *("StayPayload(a='long')", "StayPayload(a='x')", "StayPayload.a had max_length=9 and has", "DS609"),
    ),
    "StringConstraints": Case(
        model("a: Annotated[str, pydantic.StringConstraints(pattern='^a')]"),
        model("a: Annotated[str, pydantic.StringConstraints(pattern='^ab')]"),
        *("StayPayload(a='ac')", "StayPayload(a='ab')", "StayPayload.a had pattern='^a' and has", "DS609"),
    ),
    "annotated types": Case(
        model("a: Annotated[int, at.Ge(1)]", "b: Annotated[str, at.Len(1, 9)] = 'x'"),
        model("a: Annotated[int, at.Ge(1)]", "b: Annotated[str, at.Len(1, 3)] = 'x'"),
        *("StayPayload(a=1, b='long')", "StayPayload(a=1)", "StayPayload.b had max_length=9 and has", "DS609"),
    ),
    "conint": Case(
        model("a: pydantic.conint(ge=1)"),
        model("a: pydantic.conint(ge=5)"),
        *("StayPayload(a=1)", "StayPayload(a=5)", "StayPayload.a had ge=1 and has ge=5", "DS609"),
    ),
    "PositiveInt": Case(
        model("a: int"),
        model("a: pydantic.PositiveInt"),
        *("StayPayload(a=0)", "StayPayload(a=5)", "StayPayload.a had no lower bound and has ge=1", "DS609"),
    ),
    "validator of attrs": Case(
        "@attrs.define\nclass StayPayload:\n    a: int = attrs.field(validator=[attrs.validators.ge(1)])\n",
        "@attrs.define\nclass StayPayload:\n    a: int = attrs.field(validator=attrs.validators.ge(5))\n",
        *("StayPayload(a=1)", "StayPayload(a=5)", "StayPayload.a had ge=1 and has ge=5", "DS609"),
    ),
    "looser limit": Case(
        limited("Annotated[int, Meta(ge=5)]"),
        limited("Annotated[int, Meta(ge=1)]"),
        *("StayPayload(a=5)", "StayPayload(a=1)", "StayPayload.a had ge=5 and has ge=1", "DS610"),
    ),
    "limit gone": Case(
        limited("Annotated[int, Meta(multiple_of=5)]"),
        limited("int"),
        *("StayPayload(a=5)", "StayPayload(a=1)", "StayPayload.a had multiple_of=5 and has no", "DS610"),
    ),
}

SAME = {
    "rename that renames nothing": Case(
        payload("stay: str"), payload("stay: str", base="EventPayload, rename='camel'"), *("StayPayload(stay='s')",) * 2
    ),
    "another way to the same name": Case(
        payload("stay_id: str", base="EventPayload, rename='camel'"),
        payload("stay_id: str = msgspec.field(name='stayId')"),
        *(STAY, STAY),
    ),
    "another name in Python": Case(
        model("a: str = pydantic.Field(alias='stay_id')"), model("stay_id: str"), *(STAY, STAY)
    ),
    "rename taken back by a subclass": Case(
        "class Base(EventPayload):\n    pass\n\n\n" + payload("stay_id: str", base="Base"),
        "class Base(EventPayload, rename='camel'):\n    pass\n\n\n" + payload("stay_id: str", base="Base, rename=None"),
        *(STAY, STAY),
    ),
    "alias of attrs": Case(
        "@attrs.define\nclass StayPayload:\n    a: int\n",
        "@attrs.define\nclass StayPayload:\n    a: int = attrs.field(alias='b')\n",
        *("StayPayload(a=1)", "StayPayload(b=1)"),
    ),
    "title of a field": Case(
        model("a: int"), model("a: int = pydantic.Field(title='b', description='c')"), *("StayPayload(a=1)",) * 2
    ),
    "order of an object": Case(
        POINT.format(base="msgspec.Struct", first="x", second="y"),
        POINT.format(base="msgspec.Struct", first="y", second="x"),
        *("StayPayload(point=Point(x=1, y=2))",) * 2,
    ),
    "options that say the default": Case(
        payload("a: int"),
        payload("a: int", base="EventPayload, array_like=False, tag=False, forbid_unknown_fields=False, gc=False"),
        *("StayPayload(a=1)",) * 2,
    ),
    "order of members": Case(
        WARD.format(base="StrEnum", a="'a'", b="'b'"),
        WARD.format(base="StrEnum", a="'b'", b="'a'").replace(" A =", " C ="),
        *("StayPayload(ward=Ward('a'))",) * 2,
    ),
    "automatic texts": Case(
        WARD.format(base="StrEnum", a="auto()", b="auto()"),
        WARD.format(base="StrEnum", a="'a'", b="'b'"),
        *("StayPayload(ward=Ward.A)",) * 2,
    ),
    "automatic numbers": Case(
        WARD.format(base="Enum", a="3", b="auto()"),
        WARD.format(base="Enum", a="3", b="4"),
        *("StayPayload(ward=Ward.B)",) * 2,
    ),
    "bound of another kind": Case(
        limited("Annotated[int, Meta(gt=0, lt=10)]"),
        limited("Annotated[int, Meta(ge=1, le=9)]"),
        *("StayPayload(a=1)", "StayPayload(a=9)"),
    ),
    "limit that limits nothing": Case(
        limited("str"), limited("Annotated[str, Meta(min_length=0, title='a')]"), *("StayPayload(a='')",) * 2
    ),
    "limit of another spelling": Case(
        model("a: int = pydantic.Field(gt=0)", "b: list[pydantic.PositiveInt]"),
        model("a: Annotated[int, at.Gt(0)]", "b: list[pydantic.conint(gt=0)]"),
        *("StayPayload(a=1, b=[1])",) * 2,
    ),
}

ADDITIONS = {
    "member of an enum that reads unknown values": Case(
        OPEN_ENUM.format(more=""),
        OPEN_ENUM.format(more="    B = 'b'\n"),
        *("StayPayload(ward=Ward.A)", "StayPayload(ward=Ward.A)", "Ward gained 'b'"),
    ),
    "class that takes unknown fields again": Case(
        payload("a: int", base="EventPayload, forbid_unknown_fields=True"),
        payload("a: int"),
        *("StayPayload(a=1)", "StayPayload(a=1)", "StayPayload takes unknown fields"),
    ),
    "tag of a class alone": Case(
        payload("a: int"),
        payload("a: int", base="EventPayload, tag=True"),
        *("StayPayload(a=1)", "StayPayload(a=1)", "StayPayload had no tag and has type='StayPayload'"),
    ),
    "element at the end": Case(
        payload("a: int", base="EventPayload, array_like=True"),
        payload("a: int", "b: int = 0", base="EventPayload, array_like=True"),
        *("StayPayload(a=1)", "StayPayload(a=1)", "StayPayload.b is new"),
    ),
    "name of an element": Case(
        POINT.format(base="NamedTuple", first="x", second="y"),
        POINT.format(base="NamedTuple", first="x", second="z"),
        *("StayPayload(point=Point(x=1, y=2))", "StayPayload(point=Point(x=1, z=2))", "Point.y is called z"),
    ),
    "field": Case(
        payload("a: int"),
        payload("a: int", "b: int = 0"),
        *("StayPayload(a=1)", "StayPayload(a=1)", "StayPayload.b is new"),
    ),
    "default": Case(
        payload("a: int"), payload("a: int = 0"), *("StayPayload(a=1)",) * 2, "StayPayload.a has a default"
    ),
}


def events(payload_source: str, more: str = "") -> str:
    """Return the file of events with a payload."""
    return f"{HEAD}{payload_source}{EVENT}{more}"


def findings(root: Path, before: str, after: str) -> list[Finding]:
    """Return the findings once the payload, of which a snapshot was taken as `before`, is `after`."""
    write_system(root, small_system() | {EVENTS: events(before)})
    assert check_project(root) == []
    assert CliRunner().invoke(cli, ["schema", "snapshot", str(root)]).exit_code == 0
    assert check_project(root) == []
    return check_project(write_system(root, {EVENTS: events(after)}))


def both_modules(root: Path, case: Case) -> tuple[ModuleType, ModuleType]:
    """Return the code before and after the change."""
    files = {"before.py": events(case.before), "after.py": events(case.after)}
    write_system(root, files)
    return imported(root / "before.py"), imported(root / "after.py")


def understood(root: Path, case: Case) -> bool:
    """Return whether the new code reads the old message as it was meant, and the old code the new one."""
    before, after = both_modules(root, case)
    return reads(after, *message(before, case.old)) and reads(before, *message(after, case.new))


@pytest.mark.parametrize("case", BREAKING.values(), ids=list(BREAKING))
def test_change_of_the_wire_is_found(case: Case, tmp_path: Path) -> None:
    """A change by which a real reader fails, or reads something else, is reported under its own code."""
    assert not understood(tmp_path, case)
    (finding,) = [found for found in findings(tmp_path, case.before, case.after) if found.code == case.code][:1]
    assert finding.message.startswith(case.message)
    assert finding.message.endswith("which breaks record_stay of coding")


@pytest.mark.parametrize("case", SAME.values(), ids=list(SAME))
def test_change_that_the_wire_does_not_show_is_silent(case: Case, tmp_path: Path) -> None:
    """A change of the source by which nothing changes on the wire is not reported."""
    assert understood(tmp_path, case)
    assert findings(tmp_path, case.before, case.after) == []


@pytest.mark.parametrize("case", ADDITIONS.values(), ids=list(ADDITIONS))
def test_addition_asks_for_a_snapshot_only(case: Case, tmp_path: Path) -> None:
    """A change that breaks no reader is reported as missing in the snapshot, and as nothing else."""
    assert understood(tmp_path, case)
    (finding,) = findings(tmp_path, case.before, case.after)
    assert finding.code == "DS611"
    assert case.message in finding.message
    assert finding.fix == "run domainstream schema snapshot and commit contracts/coding.json"
    assert CliRunner().invoke(cli, ["schema", "snapshot", str(tmp_path)]).exit_code == 0
    assert check_project(tmp_path) == []


@pytest.mark.parametrize("name", ["stay", "stay_id", "stay_2b", "a1_b2", "_stay_id", "stayId", "StayID", "bed2no", "A"])
def test_alias_generators_are_those_of_pydantic(name: str) -> None:
    """The names that `check` computes without pydantic are those that pydantic's own generators make."""
    for function in (to_camel, to_pascal, to_snake):
        assert GENERATORS[function.__name__](name) == function(name)


@pytest.mark.parametrize("option", ["rename=name_of", "tag=name_of"])
def test_option_that_only_running_the_code_gives_is_compared_as_it_is_spelled(option: str, tmp_path: Path) -> None:
    """An option that is a function is no finding until another function is given."""
    functions = "def name_of(name: str) -> str:\n    return name\n\n\nother_of = name_of\n\n\n"
    before = functions + payload("a: int", base=f"EventPayload, {option}")
    other = option.replace("name_of", "other_of")
    (finding,) = findings(tmp_path, before, before.replace(option, other))
    assert finding.code == "DS606"
    assert finding.message.startswith(f"StayPayload had {option} and has {other}")


ODD = {
    "option that msgspec refuses": payload("a: int", base="EventPayload, rename='no-such-style'"),
    "two fields of one name": payload("a_b: int", "aB: int", base="EventPayload, rename='camel'"),
    "number too large for a tag": payload("a: int", base=f"EventPayload, tag={10**30}"),
    "half a surrogate pair as a tag": payload("a: int", base="EventPayload, tag='\\ud800'"),
    "half a surrogate pair as a name": payload("a: int = msgspec.field(name='\\ud800')"),
    "choices where one name is due": model("a: int = pydantic.Field(serialization_alias=pydantic.AliasChoices('b'))"),
    "choices without a name": model("a: int = pydantic.Field(validation_alias=pydantic.AliasChoices())"),
    "limits that JSON does not have": limited(f"Annotated[float, Meta(ge=1e999, le={10**30}, lt=float('nan'))]"),
    "members that JSON does not have": ONE_WARD.format(base="Enum", a=f"{10**30}\n    C = (1, 2)\n    D = '\\ud800'"),
    "aliases that double": "A = int\n"
    + "".join(f"A{n} = dict[A{n - 1}, A{n - 1}]\n" for n in range(1, 40)).replace("A0", "A")
    + limited("A39"),
}


@pytest.mark.parametrize("source", ODD.values(), ids=list(ODD))
def test_odd_payload_is_compared_with_itself(source: str, tmp_path: Path) -> None:
    """A payload that could not be sent, or is hard to read, has a snapshot from which it does not differ."""
    write_system(tmp_path, small_system() | {EVENTS: events(source)})
    assert CliRunner().invoke(cli, ["schema", "snapshot", str(tmp_path)]).exit_code == 0
    assert CliRunner().invoke(cli, ["schema", "snapshot", str(tmp_path), "--check"]).exit_code == 0
    assert [found.code for found in check_project(tmp_path) if found.code.startswith("DS6")] == []
