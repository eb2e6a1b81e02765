"""`domainstream new reader`: a class for another service's event, made from its contract."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from integration.tools.scaffold.sequences import assert_sound, assert_types_and_tests_pass, make_project, run, tree

from domainstream.cli.schema import schema
from domainstream.tools.check import check_project

CODED = "domain_coding_stay_coded"
ADMITTED = "domain_admission_stay_admitted"
READER = "services/valuation/src/valuation/infrastructure_layer/consumers/stay_coded.py"
ADMISSION = "services/valuation/src/valuation/infrastructure_layer/consumers/stay_admitted.py"
CONTRACT = {
    "event": "StayAdmitted",
    "version": 2,
    "payload": "StayAdmittedPayload",
    "types": {
        "StayAdmittedPayload": {
            "fields": {
                "stay_id": {"type": "UUID", "required": True},
                "at": {"type": "datetime", "required": True},
                "price": {"type": "Decimal | None", "required": True},
                "kind": {"type": "Kind", "required": True},
                "level": {"type": "Literal[1, 2] | Literal['none']", "required": False},
                "wards": {"type": "dict[str, list[Ward]]", "required": True},
                "next": {"type": "Ward | None", "required": False},
                "days": {"type": "tuple[date, date]", "required": True},
                "rows": {"type": "Sequence[tuple[int, ...]]", "required": True},
                "gaps": {"type": "list[int | None] | None", "required": False},
                "more": {"type": "Any", "required": True},
                "from": {"type": "str", "required": False},
                "zip-code": {"type": "str", "required": True},
            }
        },
        "Ward": {"fields": {"name": {"type": "str", "required": True}, "beds": {"type": "int", "required": True}}},
        "Kind": {"members": ["'day'", "'night'"]},
    },
}


@pytest.fixture
def hospital(clinic: Path) -> Path:
    """A project that has the contract of a service in another repository."""
    assert CliRunner().invoke(schema, ["snapshot", str(clinic)]).exit_code == 0
    (clinic / "contracts/admission.json").write_text(json.dumps({ADMITTED: CONTRACT}))
    (clinic / "domainstream.toml").write_text('external_services = ["admission"]\n')
    return clinic


def test_reader_of_a_service_in_the_project(clinic: Path) -> None:
    """Without a contract file, the owner's class is the contract; check, ruff and mypy accept what is written."""
    assert run(clinic, "event", "coding", "stay", "sent", "at:datetime", "codes:list[str]", "note:str?").exit_code == 0
    assert run(clinic, "reader", "valuation", "domain_coding_stay_sent").exit_code == 0
    text = (clinic / READER.replace("coded", "sent")).read_text()
    assert '    event_type = "domain_coding_stay_sent"\n' in text
    for line in ("at: Annotated[dt.datetime, Meta(tz=True)]", "codes: list[str]", "note: str | None = None"):
        assert f"    {line}\n" in text
    assert_sound(clinic)
    assert_types_and_tests_pass(clinic)


def test_reader_is_handled_by_its_service(clinic: Path) -> None:
    """A subscriber of a service that has a reader handles the event by that class, without the owner's package."""
    assert run(clinic, "reader", "valuation", CODED).exit_code == 0
    result = run(clinic, "subscriber", CODED, "valuation")
    assert result.exit_code == 0
    assert "next: write a test of job handle-stay-coded: StayCoded is made by another service" in result.stderr
    consumer = (clinic / READER).with_name("valuation_consumer.py").read_text()
    assert "from valuation.infrastructure_layer.consumers.stay_coded import StayCoded\n" in consumer
    assert '"coding"' not in (clinic / "services/valuation/pyproject.toml").read_text()
    assert_sound(clinic)
    assert_types_and_tests_pass(clinic)


def test_reader_of_another_repository(hospital: Path) -> None:
    """A contract file of another repository becomes classes of all kinds of types, each as wide as it may be."""
    assert run(hospital, "reader", "valuation", ADMITTED.upper()).exit_code == 0
    text = (hospital / ADMISSION).read_text()
    for line in (
        "stay_id: UUID",
        "at: Annotated[dt.datetime, Meta(tz=True)]",
        "price: Decimal | None",
        "kind: str",
        "level: int | str | None = None",
        "wards: dict[str, list[Ward]]",
        "next: Ward | None = None",
        "days: tuple[dt.date, dt.date]",
        "rows: list[list[int]]",
        "gaps: list[int | None] | None = None",
        "more: Any",
        'from_: str | None = field(name="from", default=None)',
        'zip_code: str = field(name="zip-code")',
        "version = 2",
    ):
        assert f"    {line}\n" in text
    assert text.index("class Ward(") < text.index("class StayAdmittedPayload(") < text.index("class StayAdmitted(")
    assert_sound(hospital)
    assert_types_and_tests_pass(hospital)


def test_reader_of_some_fields(hospital: Path) -> None:
    """`--fields` chooses fields, also of a class within the payload, and imports only what they need."""
    assert run(hospital, "reader", "valuation", ADMITTED, "--fields", "stay_id, wards.name").exit_code == 0
    names: dict[str, Any] = {}
    text = (hospital / ADMISSION).read_text()
    exec(compile(text, ADMISSION, "exec"), names)  # noqa: S102 - made here
    assert names["StayAdmittedPayload"].__struct_fields__ == ("stay_id", "wards")
    assert names["Ward"].__struct_fields__ == ("name",)
    assert "Decimal" not in text
    assert_sound(hospital)


def test_reader_and_contract_stay_together(hospital: Path) -> None:
    """Once its owner's contract has changed, `check` finds a reader that was made from the old one."""
    assert run(hospital, "reader", "valuation", ADMITTED, "--fields", "stay_id").exit_code == 0
    assert check_project(hospital) == []
    changed = json.loads(json.dumps(CONTRACT).replace('"stay_id"', '"id"'))
    (hospital / "contracts/admission.json").write_text(json.dumps({ADMITTED: changed}))
    assert [finding.code for finding in check_project(hospital)] == ["DS702"]


def test_contract_that_a_snapshot_wrote_is_read(clinic: Path, tmp_path: Path) -> None:
    """The file that `schema snapshot` writes for the owner is what a reader in another repository is made from."""
    assert CliRunner().invoke(schema, ["snapshot", str(clinic)]).exit_code == 0
    make_project(tmp_path / "billing")
    assert run(tmp_path / "billing", "service", "valuation").exit_code == 0
    (tmp_path / "billing/contracts").mkdir()
    shutil.copy(clinic / "contracts/coding.json", tmp_path / "billing/contracts/coding.json")
    assert run(tmp_path / "billing", "reader", "valuation", CODED).exit_code == 0
    assert "    id: str\n" in (tmp_path / "billing" / READER).read_text()
    assert check_project(tmp_path / "billing") == []


def test_reader_has_the_upcasters_of_its_owner(clinic: Path) -> None:
    """Where the owner's class has upcasters, the reader gets them by import, and its service the dependency."""
    events = clinic / "services/coding/src/coding/domain_layer/stay/stay_events.py"
    text = events.read_text().replace("from typing import final", "from typing import ClassVar, final")
    events.write_text(f"{text}    version = 2\n    upcasters: ClassVar = {{1: dict}}\n")
    assert run(clinic, "reader", "valuation", CODED).exit_code == 0
    text = (clinic / READER).read_text()
    assert "from coding.domain_layer.stay.stay_events import StayCoded as OwnersStayCoded\n" in text
    assert "    version = 2\n    upcasters = OwnersStayCoded.upcasters\n" in text
    assert '"coding"' in (clinic / "services/valuation/pyproject.toml").read_text()
    assert_sound(clinic)
    assert_types_and_tests_pass(clinic)


def test_second_run_has_nothing_to_do(hospital: Path) -> None:
    """Running the command again changes nothing; with other fields it refuses to overwrite the file."""
    assert run(hospital, "reader", "valuation", ADMITTED, "--fields", "at").exit_code == 0
    before = tree(hospital)
    again = run(hospital, "reader", "valuation", ADMITTED, "--fields", "at")
    assert (again.exit_code, again.stdout) == (0, "")
    other = run(hospital, "reader", "valuation", ADMITTED)
    assert other.exit_code == 1
    assert f"{ADMISSION} exists and differs; change it by hand, or remove it" in other.stderr
    assert tree(hospital) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["valuation", "domain_admission_stay_admited"],
            4,
            "no contract of domain_admission_stay_admited. Did you mean ",
        ),
        (["valuatio", ADMITTED], 4, "Did you mean valuation?"),
        (["coding", CODED], 1, "StayCoded is an event of coding itself; handle it by its own class"),
        (["valuation", ADMITTED, "--fields", "stay"], 4, "StayAdmittedPayload of StayAdmitted has no field 'stay'"),
        (
            ["valuation", ADMITTED, "--fields", "wards.bed"],
            4,
            "Ward of StayAdmitted has no field 'bed'. Did you mean beds?",
        ),
        (
            ["valuation", "domain_admission_stay_left"],
            1,
            "its field money is Money, which the contract does not describe",
        ),
    ],
)
def test_refused_reader_changes_nothing(hospital: Path, arguments: list[str], code: int, message: str) -> None:
    """A name that does not exist, an event of the service itself, and an unknown type are refused with what to do."""
    left = {**CONTRACT, "types": {"StayAdmittedPayload": {"fields": {"money": {"type": "Money", "required": True}}}}}
    contract = {ADMITTED: CONTRACT, "domain_admission_stay_left": left}
    (hospital / "contracts/admission.json").write_text(json.dumps(contract))
    before = tree(hospital)
    result = run(hospital, "reader", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert tree(hospital) == before
