"""What operators change in the dashboard, and what keeps everybody else from it."""

import logging
import re
from html import unescape

import pytest
from support.dashboards import Browser, Channel, Hospital, browsing

OPERATOR, VIEWER = "operator-token-0123456789", "viewer-token-0123456789"
CODED = str(Channel.DOMAIN_CODING_STAY_CODED)


async def path_of(browser: Browser, page: str, action: str) -> str:
    """Return where a page's link to an action leads."""
    found = re.search(rf'href="(/do/{action}\?[^"]*)"', await browser.page(page))
    assert found, action
    return unescape(found[1])


async def test_group_of_failures_is_retried(day: Hospital) -> None:
    """All jobs of a cause start again, and the next page says how many."""
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, "/failures", "retry-group"))
    assert "2 of 2 retried." in response.text
    assert await day.billing.ids("failed") == []


async def test_group_of_failures_is_removed(day: Hospital) -> None:
    """All jobs of a cause are deleted."""
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, "/failures", "remove-group"))
    assert "2 of 2 deleted." in response.text
    assert await day.billing.ids("failed") == []


async def test_one_job_is_retried(day: Hospital) -> None:
    """The button of a job starts it again, and leads back to it."""
    (job_id,) = await day.archive.ids("failed")
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, f"/jobs/archive/{job_id}", "retry-job"))
    assert "1 of 1 retried." in response.text
    assert await day.archive.ids("failed") == []


async def test_one_job_is_removed(day: Hospital) -> None:
    """The button of a job deletes it."""
    (job_id,) = await day.archive.ids("failed")
    async with browsing(day.settings()) as browser:
        await browser.agree(await path_of(browser, f"/jobs/archive/{job_id}", "remove-job"))
    assert await day.archive.fields(job_id) == {}


async def test_held_key_is_retried(day: Hospital) -> None:
    """The failed job of a key starts again, before those behind it."""
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, "/queues/billing", "retry-key"))
    assert "1 of 1 retried." in response.text
    assert len(await day.billing.ids("failed")) == 1


async def test_held_key_is_skipped(day: Hospital) -> None:
    """The failed job of a key stays failed, and no longer holds the key."""
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, "/queues/billing", "skip-key"))
        assert "1 of 1 skipped." in response.text
        assert "skip-keys" not in response.text
    assert len(await day.billing.ids("failed")) == 2


async def test_held_key_is_dropped(day: Hospital) -> None:
    """All jobs of a key go."""
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, "/queues/billing", "drop-key"))
    assert "2 of 2 deleted." in response.text


async def test_all_held_keys_are_retried(day: Hospital) -> None:
    """One button starts the failed jobs of all keys."""
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, "/queues/billing", "retry-keys"))
    assert "2 of 2 retried." in response.text


async def test_dead_letters_are_put_back(day: Hospital) -> None:
    """Dead letters become entries of their stream again."""
    before = await day.redis.xlen(day.streams.key(CODED))
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, f"/channels/{CODED}", "redrive-all"))
    assert "2 of 2 put back." in response.text
    assert await day.redis.xlen(day.streams.key(CODED)) == before + 2
    assert await day.streams.dead(CODED) == []


async def test_action_is_logged(day: Hospital, caplog: pytest.LogCaptureFixture) -> None:
    """The log says who did what to how many."""
    with caplog.at_level(logging.INFO, "domainstream.dashboard"):
        async with browsing(day.settings()) as browser:
            await browser.agree(await path_of(browser, "/failures", "retry-group"))
    (record,) = [record.getMessage() for record in caplog.records if "dashboard.action" in record.getMessage()]
    assert "user=local action=retry-group target=billing price-stay MissingTariffError chosen=2 changed=2" in record


async def test_number_that_has_changed_is_asked_for_again(day: Hospital) -> None:
    """What was agreed to for one job is not done to two."""
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, "/failures", "retry-group"), count="1")
    assert response.status_code == 409
    assert "Nothing was done yet" in response.text
    assert len(await day.billing.ids("failed")) == 2


async def test_form_from_elsewhere_changes_nothing(day: Hospital) -> None:
    """Without the token of our own form, nothing happens."""
    async with browsing(day.settings()) as browser:
        response = await browser.agree(await path_of(browser, "/failures", "retry-group"), form_token="guess")  # noqa: S106 - a wrong one
    assert response.status_code == 403
    assert len(await day.billing.ids("failed")) == 2


@pytest.mark.parametrize("action", ["retry-group", "none"])
async def test_action_on_nothing_is_not_there(hospital: Hospital, action: str) -> None:
    """What an action would be about may be gone, and then there is nothing to agree to."""
    async with browsing(hospital.settings()) as browser:
        assert "nothing left to do" in await browser.page(f"/do/{action}?queue=none&group=0", 404)


async def test_viewer_looks_and_changes_nothing(day: Hospital) -> None:
    """A viewer sees the same pages without a single action, and is refused when trying one."""
    async with browsing(day.settings(), operator_token=OPERATOR) as browser:
        browser.headers["authorization"] = f"Bearer {OPERATOR}"
        path = await path_of(browser, "/failures", "retry-group")
    async with browsing(day.settings(), viewer_token=VIEWER) as browser:
        browser.headers["authorization"] = f"Bearer {VIEWER}"
        for page in ("/failures", "/queues/billing", f"/channels/{CODED}"):
            assert "/do/" not in await browser.page(page)
        assert "Only operators" in await browser.page(path, 403)
        assert (await browser.post(path)).status_code == 403
    assert len(await day.billing.ids("failed")) == 2


async def test_stranger_is_asked_for_a_token(hospital: Hospital) -> None:
    """Whoever has no session is led to a page that asks for a token, and programs are refused."""
    async with browsing(hospital.settings(), viewer_token=VIEWER) as browser:
        assert "Sign in" in await browser.page("/queues")
        browser.headers["accept"] = "*/*"
        assert (await browser.get("/live")).status_code == 401


async def test_token_begins_a_session_and_signing_out_ends_it(hospital: Hospital) -> None:
    """A person who signs in stays signed in until they sign out."""
    async with browsing(hospital.settings(), viewer_token=VIEWER) as browser:
        assert "Sign out" in (await browser.post("/sign-in", data={"token": VIEWER})).text
        assert "There is no queue yet" in await browser.page("/queues")
        token = re.search(r'name="form_token" value="([^"]+)"', await browser.page("/queues"))
        assert token
        await browser.post("/sign-out", data={"form_token": token[1]})
        assert "There is no queue yet" not in await browser.page("/queues")


async def test_wrong_token_is_refused_and_logged(hospital: Hospital, caplog: pytest.LogCaptureFixture) -> None:
    """Guessing leaves traces, but not of what was guessed."""
    async with browsing(hospital.settings(), viewer_token=VIEWER) as browser:
        response = await browser.post("/sign-in", data={"token": "guess-of-somebody"})
    assert response.status_code == 403
    assert "dashboard.sign_in_failed" in caplog.text
    assert "guess-of-somebody" not in caplog.text


async def test_long_form_is_refused(hospital: Hospital) -> None:
    """A form has a limit."""
    async with browsing(hospital.settings(), viewer_token=VIEWER) as browser:
        assert (await browser.post("/sign-in", data={"token": "x" * 100_000})).status_code == 413
