"""The pages of the contracts: fields in plain words, versions in flight, breaking changes, and the catalogue."""

from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.dashboards import Hospital, browsing, write_code

from domainstream.cli.main import cli

CODED = "domain_coding_stay_coded"
EXAMPLE = Path(__file__).parents[4] / "examples" / "monorepo"
FIELDS = "codes: list[str]\n    comment: Annotated[str, SENSITIVE]"


@pytest.mark.parametrize("path", ["/contracts", "/catalogue"])
async def test_without_code_the_page_says_how_to_show_it(hospital: Hospital, path: str) -> None:
    """There is nothing to show without the code, so the page says what it would show, and how."""
    async with browsing(hospital.settings()) as browser:
        assert "domainstream ui --system FOLDER" in await browser.page(path)


async def test_event_is_shown_in_plain_words(day: Hospital, tmp_path: Path) -> None:
    """The fields of a payload are there in words, with those that are sensitive."""
    async with browsing(day.settings(system=write_code(tmp_path, FIELDS))) as browser:
        text = await browser.page(f"/contracts/{CODED}")
    assert "list of text" in text
    assert ">sensitive<" in text


async def test_versions_in_flight_are_counted(day: Hospital, tmp_path: Path) -> None:
    """What streams and open jobs hold is compared with the version of the code."""
    root = write_code(tmp_path, FIELDS, version=2)
    async with browsing(day.settings(system=root)) as browser:
        text = unescape(await browser.page(f"/contracts/{CODED}"))
    assert "version 2 in the code" in text
    assert "version 1</span>" in text
    assert "the code cannot read it" in text
    assert "newest 100 entries" in text


async def test_breaking_changes_are_named(day: Hospital, tmp_path: Path) -> None:
    """A field that was removed since the contract file was written breaks readers."""
    root = write_code(tmp_path, FIELDS)
    assert CliRunner().invoke(cli, ["schema", "snapshot", str(root)]).exit_code == 0
    async with browsing(day.settings(system=root)) as browser:
        assert "unchanged" in await browser.page("/contracts")
    write_code(root, "codes: list[str]")
    async with browsing(day.settings(system=root)) as browser:
        assert "1 breaking change" in await browser.page("/contracts")
        assert "StayPayload.comment was removed" in await browser.page(f"/contracts/{CODED}")


async def test_subscribers_are_named_with_their_handlers(hospital: Hospital) -> None:
    """Of each queue that gets the event, the job and the function are named."""
    async with browsing(hospital.settings(system=EXAMPLE)) as browser:
        text = await browser.page("/contracts/domain_coding_optimization_evaluated")
    assert "price-stay" in text
    assert "price_stay (valuation)" in text


async def test_catalogue_has_no_inline_code(hospital: Hospital) -> None:
    """Its script and its style are files, as the policy of the dashboard demands."""
    async with browsing(hospital.settings(system=EXAMPLE)) as browser:
        text = await browser.page("/catalogue")
        for name in ("catalog.css", "catalog.js"):
            assert f"/static/catalogue/{name}" in text
            assert (await browser.get(f"/static/catalogue/{name}")).status_code == 200
    assert "<style" not in text
    assert "<script>" not in text
    assert "price_stay (valuation)" in text
    assert "The ICD-10 code of the reason for the stay." in text


async def test_unknown_event_is_not_found(hospital: Hospital) -> None:
    """An address without an event says so."""
    async with browsing(hospital.settings(system=EXAMPLE)) as browser:
        assert "Not found" in await browser.page("/contracts/none", 404)
