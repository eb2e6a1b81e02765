"""`domainstream demo` as a user runs it: what it prints, how it ends, and that it leaves nothing behind."""

import json
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from support.demo_process import IMPATIENT, PROCESSES, SENTINEL_SERVERS, demo, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")]


def test_everything_that_is_published_is_handled(tmp_path: Path) -> None:
    """A demo of fifty stays prints one JSON object with equal counts, ends with 0, and leaves nothing behind."""
    with demo(tmp_path, "--events", "50", "--json") as running:
        code, output, errors = running.finish()
    assert code == 0, errors
    result = json.loads(output)
    assert result["handled"] > result["published"] > 200
    assert result["not_published"] == 50
    assert result["failed_on_purpose"] == 2  # the first bill and the first pricing of one stay
    assert result["overtaken"] == 0
    assert result["failed"] == 0
    assert result["duplicates"] == 0
    assert result["problems"] == []
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert result["server"].startswith(("Valkey ", "Redis "))
    assert all(each["published"] == each["handled"] for each in result["subscriptions"])
    assert len(result["subscriptions"]) == 10
    assert output.count("\n") == 1
    running.assert_nothing_is_left()


def test_without_the_rule_events_are_overtaken(tmp_path: Path) -> None:
    """Control: with --unordered, the later events of a stay do not wait for its first bill."""
    with demo(tmp_path, "--events", "3", "--json", "--unordered") as running:
        code, output, errors = running.finish()
    assert code == 0, errors
    result = json.loads(output)
    assert result["overtaken"] > 0
    assert result["in_order"] is False
    assert result["problems"] == []


def test_dashboard_shows_the_run_until_it_is_interrupted(tmp_path: Path) -> None:
    """With --ui, the demo says where its dashboard is, which shows what fails, and goes on until Ctrl-C."""
    with demo(tmp_path, "--ui", "--events", "10") as running:
        assert running.process.stdout
        address = running.process.stdout.readline().partition(" ")[0]
        with httpx.Client(base_url=address) as client:
            wait_until(lambda: "price-stay" in client.get("/failures").text)
        running.press_ctrl_c()
        code, output, errors = running.finish()
    assert (code, output, errors) == (0, "The demo has ended; everything is cleaned up.\n", "")
    running.assert_nothing_is_left()


def test_seed_always_leads_to_the_same_events(tmp_path: Path) -> None:
    """Two demos with one seed have the same counts for every subscription."""
    results = []
    for _ in range(2):
        with demo(tmp_path, "--events", "10", "--seed", "7", "--json") as running:
            results.append(json.loads(running.finish()[1])["subscriptions"])
    assert results[0] == results[1]


def test_people_get_a_table_with_every_subscription(tmp_path: Path) -> None:
    """Without --json the demo prints a summary, without colours if the output is not a terminal."""
    with demo(tmp_path, "--events", "3") as running:
        code, output, errors = running.finish()
    assert code == 0, errors
    assert "domain_coding_medical_stay_optimization_evaluated" in output
    assert "screenflow:screen-stay" in output
    assert "events overtaken by a later one of their aggregate: 0." in output
    assert "\x1b" not in output


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_leaves_nothing_behind(tmp_path: Path, number: int, expected: int) -> None:
    """Ctrl-C and SIGTERM end all processes and remove the server's folder, without a traceback."""
    with demo(tmp_path, "--events", "100000", "--json") as running:
        running.wait_until_busy()
        running.press_ctrl_c(number)
        code, output, errors = running.finish()
        assert code == expected
        assert output == ""
        assert errors == "Interrupted; everything is cleaned up.\n"
        running.assert_nothing_is_left()


def test_children_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent ends services, subscriber and server within seconds, and leaves no file."""
    with demo(tmp_path, "--events", "100000") as running:
        assert len(running.wait_until_busy()) == PROCESSES
        running.process.kill()
        running.finish()
        running.assert_no_process_is_left()
        running.assert_nothing_is_left()


def test_dead_child_fails_the_run(tmp_path: Path) -> None:
    """A dead process ends the demo with 1, and the message names the process and what is missing."""
    with demo(tmp_path, "--events", "100000", "--json") as running:
        processes = running.wait_until_busy()
        os.kill(next(pid for pid, line in processes.items() if "demo.child valuation" in line), signal.SIGKILL)
        code, output, errors = running.finish()
        assert code == 1
        assert "the valuation process ended with code -9" in errors
        assert "the valuation process ended with code -9" in json.loads(output)["problems"]
        running.assert_nothing_is_left()


def test_dead_server_is_reported_in_two_lines(tmp_path: Path) -> None:
    """A dead server ends the demo with 1, and two lines name it and the next step, without a traceback."""
    with demo(tmp_path, "--events", "100000", "--json", command=IMPATIENT) as running:
        processes = running.wait_until_busy()
        os.kill(next(pid for pid, line in processes.items() if "-server" in line.split()[0]), signal.SIGKILL)
        code, output, errors = running.finish()
        assert code == 1
        assert output == ""
        went_away, what_to_do = errors.splitlines()
        assert went_away.startswith("The server at 127.0.0.1:")
        assert went_away.endswith(" went away while the demo was running.")
        assert what_to_do.endswith("run again: domainstream demo")
        running.assert_nothing_is_left()


def test_stalled_run_is_aborted(tmp_path: Path) -> None:
    """A hanging process ends the demo with 1, and is killed with the others."""
    with demo(tmp_path, "--events", "100000", "--json", command=IMPATIENT) as running:
        for pid, line in running.wait_until_busy().items():
            if "demo.outbox_child coding" in line:
                os.kill(pid, signal.SIGSTOP)
        code, output, errors = running.finish()
        assert code == 1
        assert "nothing has happened for 2 seconds" in json.loads(output)["problems"]
        assert "the coding process ended with code -9" in errors
        running.assert_nothing_is_left()


@pytest.mark.parametrize("servers", ["--sentinel", "--cluster"])
def test_killed_primary_loses_nothing(tmp_path: Path, servers: str) -> None:
    """A replica replaces a primary that is killed in the middle, and every event is handled."""
    with demo(tmp_path, servers, "--events", "30", "--json", REDIS_URL="redis://127.0.0.1:1") as running:
        code, output, errors = running.finish()
    assert code == 0, errors
    result = json.loads(output)
    assert result["problems"] == []
    assert result["failover"]["killed"] != result["failover"]["successor"]
    assert 60 <= result["failover"]["after_published"] < result["published"]
    assert all(each["published"] == each["handled"] for each in result["subscriptions"])
    assert {each["queue"] for each in result["subscriptions"]} >= {"coding", "screenflow", "valuation"}
    running.assert_nothing_is_left()


def test_no_server_outlives_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent ends several servers too, and leaves none of their files."""
    with demo(tmp_path, "--sentinel", "--events", "100000") as running:
        wait_until(lambda: len(running.others()) >= PROCESSES - 1 + SENTINEL_SERVERS)
        running.process.kill()
        running.finish()
        running.assert_no_process_is_left()
        running.assert_nothing_is_left()


async def test_server_of_the_user_keeps_no_key(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    """On a server of the user, all of the run's keys are deleted, and other keys are kept."""
    await redis.set("a-key-of-another-user", "1", ex=60)
    before = await _demo_keys(redis)
    with demo(tmp_path, "--events", "20", "--json", "--redis-url", redis_url) as running:
        code, output, errors = running.finish()
    assert code == 0, errors
    assert json.loads(output)["server"].endswith("(explicit URL)")
    assert await _demo_keys(redis) == before == []
    assert await redis.get("a-key-of-another-user") == b"1"
    running.assert_nothing_is_left()


def test_environment_variable_names_the_server(tmp_path: Path, redis_url: str) -> None:
    """Without the option, the demo uses the server of REDIS_URL."""
    with demo(tmp_path, "--events", "1", "--json", REDIS_URL=redis_url) as running:
        code, output, errors = running.finish()
    assert code == 0, errors
    assert json.loads(output)["server"].endswith("(REDIS_URL)")


def test_missing_server_is_named_without_its_password(tmp_path: Path) -> None:
    """A missing server ends the demo with 3 and a message with its place and a next step, without the password."""
    with demo(tmp_path, "--json", "--redis-url", "redis://user:s3cret@127.0.0.1:1") as running:
        code, output, errors = running.finish()
    assert code == 3
    assert output == ""
    assert "cannot use the server at 127.0.0.1:1" in errors
    assert "s3cret" not in errors
    assert "Traceback" not in errors
    running.assert_nothing_is_left()


async def _demo_keys(redis: Redis) -> list[bytes]:
    return [key async for key in redis.scan_iter(match="*domainstream-demo-*")]
