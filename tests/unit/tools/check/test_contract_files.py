"""The contract files: what `schema snapshot` writes, refuses and compares, and which older files are still read."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.checking import CHANNELS, EVENTS, MAPPER, example, files_in, small_system, write_system

from domainstream.cli.main import cli
from domainstream.tools.check import Finding, check_project

CONTRACT = "contracts/coding.json"
PAYLOAD = "class StayPayload(EventPayload):\n    stay_id: str\n"
FORMAT_PAGE = Path(__file__).parents[4] / "docs" / "contract-files.md"


def snapshot(root: Path, *options: str) -> Result:
    """Run `domainstream schema snapshot`."""
    return CliRunner().invoke(cli, ["schema", "snapshot", str(root), *options])


def system(root: Path) -> Path:
    """Write a clean system with a snapshot of the event StayCreated."""
    write_system(root, small_system())
    assert snapshot(root).exit_code == 0
    return root


def with_payload(payload: str, imports: str = "") -> dict[str, str]:
    """Return the file of events with another payload."""
    text = small_system()[EVENTS]
    assert PAYLOAD in text
    return {
        EVENTS: text.replace(PAYLOAD, payload).replace(
            "from typing import final\n", f"from typing import final\n{imports}"
        )
    }


def codes(root: Path) -> list[str]:
    """Return the codes of the findings."""
    return [finding.code for finding in check_project(root)]


def renamed_channel() -> dict[str, str]:
    """Return the files of the small system with another name for its channel and its event's type."""
    return {
        name: text.replace("STAY_CREATED", "STAY_OPENED").replace("stay_created", "stay_opened")
        for name, text in small_system().items()
    }


def test_renamed_channel_is_found(tmp_path: Path) -> None:
    """A channel that was renamed is reported, and its snapshot is only replaced with --accept."""
    write_system(system(tmp_path), renamed_channel())
    found = {finding.code: finding for finding in check_project(tmp_path)}
    assert set(found) == {"DS108", "DS605"}
    assert found["DS108"].message == (
        "DOMAIN_CODING_STAY_CREATED was renamed to DOMAIN_CODING_STAY_OPENED, so its readers wait for events that "
        "nothing publishes any more"
    )
    assert found["DS108"].path == CHANNELS
    before = (tmp_path / CONTRACT).read_text()
    refused = snapshot(tmp_path)
    assert refused.exit_code == 1
    assert "StayCreated is not published as domain_coding_stay_created any more" in refused.stderr
    assert (tmp_path / CONTRACT).read_text() == before
    assert snapshot(tmp_path, "--accept").exit_code == 0
    assert codes(tmp_path) == []


def test_channel_that_was_removed_with_its_event_is_found(tmp_path: Path) -> None:
    """A channel that was removed together with its event is reported until `retired` names it."""
    write_system(tmp_path, small_system() | example("DS401", "Good"))
    assert snapshot(tmp_path).exit_code == 0
    assert codes(tmp_path) == []
    write_system(tmp_path, small_system())
    (finding,) = check_project(tmp_path)
    assert finding.code == "DS108"
    assert finding.message.startswith("DOMAIN_CODING_STAY_CLOSED was removed")
    assert '"DOMAIN_CODING_STAY_CLOSED" to `retired`' in finding.fix
    assert snapshot(tmp_path).exit_code == 1
    write_system(tmp_path, {"domainstream.toml": 'retired = ["DOMAIN_CODING_STAY_CLOSED"]\n'})
    assert codes(tmp_path) == []
    assert snapshot(tmp_path).exit_code == 0
    assert "stay_closed" not in (tmp_path / CONTRACT).read_text()


def test_new_channel_is_not_a_removed_one(tmp_path: Path) -> None:
    """A channel that is added needs a snapshot of its event, and nothing else."""
    write_system(system(tmp_path), example("DS401", "Good"))
    assert codes(tmp_path) == ["DS605"]
    assert snapshot(tmp_path).exit_code == 0
    assert codes(tmp_path) == []


def test_event_that_is_kept_inside_now_leaves_its_snapshot_only_with_accept(tmp_path: Path) -> None:
    """An event that its mapper stops publishing is not dropped from the snapshot without --accept."""
    inside = small_system()[MAPPER].replace("return Channel.DOMAIN_CODING_STAY_CREATED", "return None")
    write_system(system(tmp_path), {MAPPER: inside})
    assert snapshot(tmp_path).exit_code == 1
    assert "stay_created" in (tmp_path / CONTRACT).read_text()
    assert snapshot(tmp_path, "--accept").exit_code == 0
    assert "stay_created" not in (tmp_path / CONTRACT).read_text()


def test_contract_of_an_external_service_is_left_alone(tmp_path: Path) -> None:
    """The file of a service in another repository, which `external_services` names, is neither judged nor rewritten."""
    system(tmp_path)
    theirs = (tmp_path / CONTRACT).read_text().replace("coding", "billing")
    write_system(tmp_path, {"contracts/billing.json": theirs, "domainstream.toml": 'external_services = ["billing"]\n'})
    assert codes(tmp_path) == []
    assert snapshot(tmp_path, "--check").exit_code == 0
    assert snapshot(tmp_path).exit_code == 0
    assert (tmp_path / "contracts/billing.json").read_text() == theirs


def test_file_that_cannot_be_read_stops_the_snapshot(tmp_path: Path) -> None:
    """A snapshot is neither written nor accepted while the events of a file are unknown."""
    system(tmp_path)
    before = (tmp_path / CONTRACT).read_text()
    write_system(tmp_path, {EVENTS: "class StayPayload(:\n"})
    for options in ([], ["--accept"], ["--check"]):
        refused = snapshot(tmp_path, *options)
        assert refused.exit_code == 1
        assert f"  - {EVENTS}\n" in refused.stderr
        assert "Run domainstream check" in refused.stderr
    assert (tmp_path / CONTRACT).read_text() == before
    assert "DS108" not in codes(tmp_path)


def test_field_that_is_added_and_later_retyped_is_found(tmp_path: Path) -> None:
    """An optional field is reported until it is in the snapshot, so that its next change cannot go unnoticed."""
    added = with_payload(PAYLOAD + "    ward: str | None = None\n")
    retyped = with_payload(PAYLOAD + "    ward: int | None = None\n")
    write_system(system(tmp_path), added)
    (finding,) = check_project(tmp_path)
    assert finding.code == "DS611"
    assert finding.message.startswith("the snapshot of StayCreated is out of date (StayPayload.ward is new)")
    write_system(tmp_path, retyped)
    assert codes(tmp_path) == ["DS611"]
    write_system(tmp_path, added)
    assert snapshot(tmp_path).exit_code == 0
    assert codes(tmp_path) == []
    write_system(tmp_path, retyped)
    assert codes(tmp_path) == ["DS602"]


@pytest.mark.parametrize(
    ("version", "fix"),
    [
        (2, "write upcasters = {1: ...} in StayCreated, or set version = 1"),
        (0, "set version = 1"),
    ],
)
def test_version_that_changed_alone_is_found(version: int, fix: str, tmp_path: Path) -> None:
    """A version that rose without upcasters, or fell, is reported, because it cannot read the old messages."""
    write_system(system(tmp_path), {EVENTS: f"{small_system()[EVENTS]}    version = {version}\n"})
    (finding,) = check_project(tmp_path)
    assert (finding.code, finding.fix) == ("DS612", fix)
    assert finding.message.startswith(f"StayCreated had version 1 and has version {version}, which cannot read")
    assert snapshot(tmp_path).exit_code == 1


INNER = "class Ward(EventPayload):\n    beds: {0}\n\n\nclass StayPayload(EventPayload):\n    {1}\n"


@pytest.mark.parametrize(
    "uses",
    [
        "first: Ward\n    second: Ward",
        "wards: dict[str, tuple[Ward, Ward]]",
        "ward: Ward | None = None\n    wards: list[Ward]",
    ],
)
def test_change_of_a_class_that_is_used_twice_is_reported_once(uses: str, tmp_path: Path) -> None:
    """A change of a class is one finding, however many fields of the payload have it."""
    write_system(tmp_path, small_system() | with_payload(INNER.format("int", uses)))
    assert snapshot(tmp_path).exit_code == 0
    write_system(tmp_path, with_payload(INNER.format("float", uses)))
    assert codes(tmp_path) == ["DS602"]
    refused = snapshot(tmp_path)
    assert refused.stderr.count("Ward.beds was int and is float") == 1


def test_change_of_a_payload_of_two_events_is_reported_once(tmp_path: Path) -> None:
    """A change of a class that two events have is one finding, whose fix names both of them."""
    write_system(tmp_path, small_system() | example("DS401", "Good"))
    assert snapshot(tmp_path).exit_code == 0
    assert codes(tmp_path) == []
    events = (tmp_path / EVENTS).read_text()
    write_system(tmp_path, {EVENTS: events.replace("stay_id: str", "stay_id: int")})
    (finding,) = check_project(tmp_path)
    assert finding.message == "StayPayload.stay_id was str and is int, which breaks record_stay of coding"
    assert finding.fix == (
        "take the change back, or write version = 2 and upcasters = {1: ...} in StayCreated, and write version = 2 and "
        "upcasters = {1: ...} in StayClosed"
    )


def test_classes_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    """A change of one of two classes with the same name is found, whichever of them is read first."""
    ward = "from domainstream import EventPayload\n\n\nclass Ward(EventPayload):\n    beds: int\n"
    folder = "services/coding/src/coding/domain_layer/stay"
    uses = "class StayPayload(EventPayload):\n    first: Inner\n    second: Outer\n"
    classes = "class Inner(EventPayload):\n    a: inner.Ward\n\n\nclass Outer(EventPayload):\n    a: outer.Ward\n\n\n"
    imports = "from coding.domain_layer.stay import inner, outer\n"
    files = {f"{folder}/inner.py": ward, f"{folder}/outer.py": ward, f"{folder}/__init__.py": ""}
    write_system(tmp_path, small_system() | files | with_payload(classes + uses, imports))
    assert snapshot(tmp_path).exit_code == 0
    for name in ("inner", "outer"):
        write_system(tmp_path, files | {f"{folder}/{name}.py": ward.replace("int", "str")})
        (finding,) = check_project(tmp_path)
        assert (finding.code, finding.path) == ("DS602", f"{folder}/{name}.py")


def test_check_of_a_current_snapshot_is_quiet(tmp_path: Path) -> None:
    """`--check` exits with 0 and prints nothing where the files say what the code says."""
    result = snapshot(system(tmp_path), "--check")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "0 differences\n"


def test_check_lists_what_differs_and_writes_nothing(tmp_path: Path) -> None:
    """`--check` exits with 1, lists each difference and whether it breaks readers, and leaves the files alone."""
    system(tmp_path)
    write_system(tmp_path, with_payload("class StayPayload(EventPayload):\n    stay_id: int\n    ward: str = ''\n"))
    before = (tmp_path / CONTRACT).read_bytes()
    result = snapshot(tmp_path, "--check")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{CONTRACT}: domain_coding_stay_created: StayPayload.stay_id was str and is int, which breaks readers",
        f"{CONTRACT}: domain_coding_stay_created: StayPayload.ward is new",
    ]
    assert "2 differences; run domainstream schema snapshot and commit the files" in result.stderr
    assert (tmp_path / CONTRACT).read_bytes() == before


def test_check_lists_events_without_a_snapshot(tmp_path: Path) -> None:
    """`--check` fails where no snapshot was ever taken, and makes no folder."""
    result = snapshot(write_system(tmp_path, small_system()), "--check")
    assert result.exit_code == 1
    assert result.stdout == f"{CONTRACT}: domain_coding_stay_created: StayCreated is new\n"
    assert not (tmp_path / "contracts").exists()


def test_check_ignores_the_layout_of_a_file(tmp_path: Path) -> None:
    """A file that a formatter laid out in another way holds the same contract."""
    system(tmp_path)
    text = json.dumps(json.loads((tmp_path / CONTRACT).read_text()))
    write_system(tmp_path, {CONTRACT: text})
    assert snapshot(tmp_path, "--check").exit_code == 0


def test_check_sees_that_a_class_has_another_name(tmp_path: Path) -> None:
    """The name of a class breaks no reader, but the file has it, so `--check` asks for a new one."""
    system(tmp_path)
    text = small_system()[EVENTS].replace("StayPayload", "Stay")
    write_system(tmp_path, {EVENTS: text})
    assert codes(tmp_path) == []
    result = snapshot(tmp_path, "--check")
    assert result.exit_code == 1
    assert result.stdout == f"{CONTRACT}: has other names of classes, or events of another service\n"
    assert snapshot(tmp_path).exit_code == 0
    assert snapshot(tmp_path, "--check").exit_code == 0


def test_json_has_the_differences_and_the_written_files(tmp_path: Path) -> None:
    """`--json` prints one object with the differences, with and without `--check`."""
    system(tmp_path)
    write_system(tmp_path, with_payload(PAYLOAD + "    ward: str = ''\n"))
    difference = {
        "path": CONTRACT,
        "event_type": "domain_coding_stay_created",
        "message": "StayPayload.ward is new",
        "breaks_readers": False,
    }
    checked = snapshot(tmp_path, "--check", "--json")
    assert checked.exit_code == 1
    assert json.loads(checked.stdout) == {"written": [], "differences": [difference]}
    written = snapshot(tmp_path, "--json")
    assert written.exit_code == 0
    path = (tmp_path / CONTRACT).as_posix()
    assert json.loads(written.stdout) == {"written": [path], "differences": [difference]}
    assert json.loads(snapshot(tmp_path, "--json").stdout) == {"written": [], "differences": []}


def test_refused_snapshot_is_json_too(tmp_path: Path) -> None:
    """A refused snapshot prints its differences as JSON and exits with 1."""
    system(tmp_path)
    write_system(tmp_path, with_payload("class StayPayload(EventPayload):\n    stay_id: int\n"))
    refused = snapshot(tmp_path, "--json")
    assert refused.exit_code == 1
    (difference,) = json.loads(refused.stdout)["differences"]
    assert difference["breaks_readers"] is True


def test_check_cannot_accept(tmp_path: Path) -> None:
    """`--check --accept` is wrong usage, because nothing is written that could be accepted."""
    assert snapshot(system(tmp_path), "--check", "--accept").exit_code == 2


def first_format(fields: str, more: str = "") -> str:
    """Return a contract file as domainstream wrote it before formats had numbers."""
    return (
        '{"domain_coding_stay_created": {"event": "StayCreated", "version": 1, "payload": "StayPayload", "types": '
        f'{{"StayPayload": {{"fields": {{{fields}}}}}{more}}}}}}}'
    )


STAY_ID = '"stay_id": {"type": "str", "required": true}'


def compared_with_first_format(root: Path, payload: str, old: str, imports: str = "") -> list[Finding]:
    """Return the findings about a payload beside a file of format 1."""
    return check_project(write_system(root, small_system() | with_payload(payload, imports) | {CONTRACT: old}))


@pytest.mark.parametrize(
    ("payload", "old"),
    [
        (PAYLOAD, first_format(STAY_ID)),
        (
            "class StayPayload(EventPayload):\n    codes: tuple[dict[str, int], ...]\n    other: int | None = None\n",
            first_format(
                '"codes": {"type": "Sequence[Mapping[str, int]]", "required": true},'
                '"other": {"type": "int | None", "required": false}'
            ),
        ),
        (
            'class Ward(StrEnum):\n    A = "a"\n\n\nclass StayPayload(EventPayload):\n    ward: Ward\n',
            first_format('"ward": {"type": "Ward", "required": true}', """, "Ward": {"members": ["'a'"]}"""),
        ),
    ],
)
def test_file_of_the_first_format_is_read(payload: str, old: str, tmp_path: Path) -> None:
    """A file without a number is compared as before, and the next snapshot gives it the newest format."""
    assert compared_with_first_format(tmp_path, payload, old) == []
    differs = snapshot(tmp_path, "--check")
    assert differs.exit_code == 1
    assert differs.stdout == f"{CONTRACT}: is of format 1\n"
    assert snapshot(tmp_path).exit_code == 0
    assert json.loads((tmp_path / CONTRACT).read_text())["format"] == 2
    assert codes(tmp_path) == []


@pytest.mark.parametrize(
    ("payload", "old", "code"),
    [
        (PAYLOAD, first_format('"stay_id": {"type": "int", "required": true}'), "DS602"),
        (PAYLOAD, first_format(f'{STAY_ID}, "ward": {{"type": "str", "required": true}}'), "DS601"),
        (
            'class Ward(StrEnum):\n    A = "a"\n    B = "b"\n\n\nclass StayPayload(EventPayload):\n    ward: Ward\n',
            first_format('"ward": {"type": "Ward", "required": true}', """, "Ward": {"members": ["'a'"]}"""),
            "DS608",
        ),
    ],
)
def test_break_of_the_first_format_is_found(payload: str, old: str, code: str, tmp_path: Path) -> None:
    """A change against a file of the first format is found as against a newer one."""
    assert [finding.code for finding in compared_with_first_format(tmp_path, payload, old)] == [code]


@pytest.mark.parametrize(
    ("payload", "old", "imports"),
    [
        ('class StayPayload(EventPayload, rename="camel"):\n    stay_id: str\n', first_format(STAY_ID), ""),
        ("class StayPayload(EventPayload, array_like=True):\n    stay_id: str\n", first_format(STAY_ID), ""),
        ("class StayPayload(EventPayload, forbid_unknown_fields=True):\n    stay_id: str\n", first_format(STAY_ID), ""),
        (PAYLOAD + "    _ward: str\n", first_format(STAY_ID), ""),
        (
            "class StayPayload(EventPayload):\n    stay_id: Annotated[str, Meta(min_length=1)]\n",
            first_format(STAY_ID),
            "from typing import Annotated\nfrom msgspec import Meta\n",
        ),
        (
            "@define\nclass StayPayload:\n    stay_id: str = field(alias='id')\n",
            first_format('"id": {"type": "str", "required": true}'),
            "from attrs import define, field\n",
        ),
        (
            "class Ward(Enum):\n    A = auto()\n\n\nclass StayPayload(EventPayload):\n    ward: Ward\n",
            first_format('"ward": {"type": "Ward", "required": true}', ', "Ward": {"members": ["auto()"]}'),
            "from enum import Enum, auto\n",
        ),
    ],
)
def test_what_the_first_format_lacks_is_no_break_but_asks_for_a_snapshot(
    payload: str, old: str, imports: str, tmp_path: Path
) -> None:
    """A payload with what the first format did not record has to get a new snapshot, and breaks nothing."""
    (finding,) = compared_with_first_format(tmp_path, payload, old, imports)
    assert finding.code == "DS611"
    assert "format 1 does not record" in finding.message
    assert snapshot(tmp_path).exit_code == 0
    assert codes(tmp_path) == []


def test_file_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A file that a newer domainstream wrote is a finding, and is not overwritten."""
    newer = '{"format": 3, "events": {"anything": true}}'
    write_system(tmp_path, small_system() | {CONTRACT: newer})
    assert ("DS001", CONTRACT) in [(one.code, one.path) for one in check_project(tmp_path)]
    assert snapshot(tmp_path, "--accept").exit_code == 1
    assert (tmp_path / CONTRACT).read_text() == newer


def test_page_of_the_format_shows_what_is_written(tmp_path: Path) -> None:
    """The example on the page of the format is, byte by byte, the snapshot of the events on the page."""
    files = files_in(FORMAT_PAGE.read_text(encoding="utf-8"))
    write_system(tmp_path, small_system() | {EVENTS: files[EVENTS]})
    assert snapshot(tmp_path).exit_code == 0
    assert (tmp_path / CONTRACT).read_text(encoding="utf-8") == files[CONTRACT]
