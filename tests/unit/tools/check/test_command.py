"""`domainstream check` as it is typed: what it prints where, its formats, its exit codes."""

import json
import subprocess
import sys
from errno import ENOSPC
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.checking import CHANNELS, EVENTS, SUBSCRIPTIONS, small_system, write_system

from domainstream.cli.main import cli
from domainstream.tools.check.engine import RULES


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A system with two findings: DS202 and DS401."""
    files = small_system()
    unfinal = files[EVENTS].replace("@final\n", "").replace("from typing import final\n", "")
    return write_system(tmp_path, files | {EVENTS: unfinal, SUBSCRIPTIONS: without_entries(files)})


def without_entries(files: dict[str, str]) -> str:
    """Return subscriptions with an empty table."""
    line = next(line for line in files[SUBSCRIPTIONS].splitlines(keepends=True) if "to_queue(" in line)
    return files[SUBSCRIPTIONS].replace(line, "")


def check(root: Path, *options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli, ["check", str(root), *options])


def test_clean_system_says_so_on_stderr(tmp_path: Path) -> None:
    """For a clean system, stdout is empty, stderr says that there is nothing to report, and the exit code is 0."""
    result = check(write_system(tmp_path, small_system()))
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr == "1 service: nothing to report\n"


def test_findings_go_to_stdout_and_the_summary_to_stderr(system: Path) -> None:
    """A finding is `path:line:column CODE message`, with the fix below it; the exit code is 1."""
    result = check(system)
    assert result.exit_code == 1
    missing = "DS401 Channel.DOMAIN_CODING_STAY_CREATED is missing from the subscriptions"
    unfinal = "DS202 StayCreated is not marked @final, so a subclass would silently go to its channel"
    assert result.stdout.splitlines() == [
        f"{system.as_posix()}/{SUBSCRIPTIONS}:5:5 {missing}",
        "    add Channel.DOMAIN_CODING_STAY_CREATED: [], if it has no subscriber yet",
        f"{system.as_posix()}/{EVENTS}:14:1 {unfinal}",
        "    add @final above class StayCreated",
    ]
    assert result.stderr == "1 service: 2 findings, 2 of them can be fixed with --fix\n"


def test_paths_are_relative_to_the_folder_the_command_is_typed_in(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PATH, the current folder is checked, and paths of findings are relative to it."""
    monkeypatch.chdir(system)
    result = CliRunner().invoke(cli, ["check", "-q"])
    assert result.stdout.startswith(f"{SUBSCRIPTIONS}:5:5 DS401")
    assert result.stderr == ""


@pytest.mark.parametrize("options", [["--format", "json"], ["--json"]], ids=" ".join)
def test_json_is_one_array(system: Path, options: list[str]) -> None:
    """JSON output is one array of objects in which every part of a finding has a name."""
    findings = json.loads(check(system, *options).stdout)
    assert [sorted(finding) for finding in findings] == [["code", "column", "fix", "line", "message", "path"]] * 2
    assert [finding["code"] for finding in findings] == ["DS401", "DS202"]


def test_json_of_a_clean_system_is_an_empty_array(tmp_path: Path) -> None:
    """JSON output of a clean system is an empty array, so that programs need no special case."""
    assert json.loads(check(write_system(tmp_path, small_system()), "--format", "json").stdout) == []


@pytest.mark.parametrize("form", ["text", "github"])
def test_clean_system_has_no_lines(tmp_path: Path, form: str) -> None:
    """In the formats text and github, a clean system prints nothing to stdout, not even an empty line."""
    assert check(write_system(tmp_path, small_system()), "--format", form).stdout == ""


def test_github_gets_annotations(tmp_path: Path) -> None:
    """The format github prints one annotation per line, with special characters escaped as GitHub reads them."""
    enum = small_system()[CHANNELS].replace('= "domain_coding_stay_created"', '= "100%:\\n,"')
    result = check(write_system(tmp_path, small_system() | {CHANNELS: enum}), "--format", "github", "--select", "DS102")
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"::error file={(tmp_path / CHANNELS).as_posix()},line=5,col=5,title=DS102::")
    assert "the value must be the name in lower case; use DOMAIN_CODING_STAY_CREATED =" in line


def test_sarif_is_what_code_scanning_takes(system: Path) -> None:
    """SARIF output is version 2.1.0, with one run, the rules that were broken, and a result for each finding."""
    log = json.loads(check(system, "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["DS202", "DS401"]
    for result in run["results"]:
        assert result["ruleId"] in rules
        assert result["level"] == "error"
        assert result["message"]["text"]
        location = result["locations"][0]["physicalLocation"]
        assert location["region"]["startLine"] >= 1
        assert location["region"]["startColumn"] >= 1
        assert not location["artifactLocation"]["uri"].startswith("file:")


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        (["--select", "DS2"], ["DS202"]),
        (["--select", "DS202,DS401"], ["DS401", "DS202"]),
        (["--select", "DS2", "--select", "ds4"], ["DS401", "DS202"]),
        (["--ignore", "DS202"], ["DS401"]),
        (["--select", "DS", "--ignore", "DS4"], ["DS202"]),
        (["--ignore", "DS2,DS4"], []),
    ],
)
def test_rules_are_chosen_by_code_or_its_beginning(system: Path, options: list[str], codes: list[str]) -> None:
    """--select and --ignore choose rules by code or its beginning; the exit code counts only the chosen findings."""
    result = check(system, "--format", "json", *options)
    assert [finding["code"] for finding in json.loads(result.stdout)] == codes
    assert result.exit_code == (1 if codes else 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--select", "DS9"], "no rule is called DS9"),
        (["--format", "xml"], "'xml' is not one of"),
        (["nowhere"], "does not exist"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], message: str) -> None:
    """Wrong options or a missing folder end with exit code 2 and a message that says what is wrong."""
    result = CliRunner().invoke(cli, ["check", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


def test_settings_that_cannot_be_used_end_with_2(tmp_path: Path) -> None:
    """Every command that reads the settings reports every problem of the file and exits with 2."""
    write_system(tmp_path, {"domainstream.toml": 'services = 3\nchanels = "a"\n'})
    for command in (["check"], ["check", "--fix"], ["schema", "snapshot"]):
        result = CliRunner().invoke(cli, [*command, str(tmp_path)])
        assert result.exit_code == 2
        assert "unknown setting 'chanels'" in result.stderr
        assert "services must be a list of strings" in result.stderr


def test_check_imports_no_client_and_runs_none_of_the_code(tmp_path: Path) -> None:
    """A check runs none of the users' code, and imports no client of Redis or BullMQ."""
    bomb = "import sys\nsys.exit('this was run')\n"
    write_system(tmp_path, {name: f"{bomb}{text}" for name, text in small_system().items()})
    program = (
        "import sys\nfrom pathlib import Path\nfrom domainstream.tools.check import check_project\n"
        f"assert check_project(Path({str(tmp_path)!r})) == []\n"
        "print({'redis', 'bullmq', 'libcst', 'coding', 'contracts', 'sqlalchemy', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_codes_are_complete() -> None:
    """The table of rules has rules of every group from DS0 to DS7."""
    assert {rule.code[:3] for rule in RULES} == {"DS0", "DS1", "DS2", "DS3", "DS4", "DS5", "DS6", "DS7"}


def test_folder_inside_of_a_system_is_enough(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a folder of a system, the nearest system above is checked, with paths that can be opened from there."""
    monkeypatch.chdir(system / "services")
    result = CliRunner().invoke(cli, ["check", "--select", "DS4"])
    path = result.stdout.partition(":")[0]
    assert Path(path).resolve() == system / SUBSCRIPTIONS


def test_bug_is_reported_as_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in domainstream is reported as one sentence; its traceback is shown only with --debug."""

    def broken(_root: Path) -> None:
        raise AssertionError("oh")

    monkeypatch.setattr("domainstream.tools.check.project.read_project", broken)
    result = check(write_system(tmp_path, small_system()))
    assert result.exit_code == 1
    assert "this is a bug in domainstream: AssertionError" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in check(tmp_path, "--debug").stderr


def test_name_of_a_file_does_not_control_the_terminal(tmp_path: Path) -> None:
    """Control characters in the name of a file are printed escaped, so that they cannot control the terminal."""
    (tmp_path / "services/coding/src/coding").mkdir(parents=True)
    (tmp_path / "services/coding/src/coding/\x1b[31m.py").write_text("BaseEvent = (")
    result = check(tmp_path, "--select", "DS001")
    assert "\x1b" not in result.stdout
    assert "\\x1b[31m.py" in result.stdout


def test_operating_system_error_is_not_reported_as_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the operating system, such as a full disk, is reported in its own words and not as a bug."""

    def full(_root: Path) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr("domainstream.tools.check.project.read_project", full)
    result = check(write_system(tmp_path, small_system()))
    assert result.exit_code == 1
    assert result.stderr == "Error: the operating system reports: No space left on device\n"


@pytest.mark.parametrize("command", [["check"], ["schema", "snapshot"]])
def test_folder_without_a_project_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """In a folder without a project, the error names the command that makes one, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    for arguments, where in (([], "or above it"), ([str(tmp_path)], "")):
        result = CliRunner().invoke(cli, [*command, *arguments])
        assert result.exit_code == 4
        assert result.stdout == ""
        assert f"There is no project in {tmp_path} {where}".rstrip() in result.stderr
        assert "domainstream new project DIR" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_folder_within_a_project_names_the_project(tmp_path: Path) -> None:
    """For a folder inside of a project, the error names the project's folder."""
    write_system(tmp_path, small_system())
    result = check(tmp_path / "services")
    assert result.exit_code == 4
    assert f"Run it for {tmp_path}, or make one" in result.stderr


def test_part_of_a_project_is_checked(tmp_path: Path) -> None:
    """A folder with a service, but without channels, is a project with findings."""
    result = check(write_system(tmp_path, {EVENTS: small_system()[EVENTS]}))
    assert result.exit_code == 1
    assert "DS002 there is no enum of channels" in result.stdout
