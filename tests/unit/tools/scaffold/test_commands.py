"""`domainstream new` on the command line: its changes, its refusals, its messages."""

import json
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from integration.tools.scaffold.sequences import CHANNELS, make_project, run, tree

from domainstream import Retention
from domainstream.cli.main import cli
from domainstream.tools.check.findings import Finding, Location
from domainstream.tools.scaffold import plan

ROOT = Path(__file__).parents[4]


def test_dry_run_shows_what_git_can_apply(clinic: Path, tmp_path: Path) -> None:
    """A dry run changes nothing; applying its diff has the same effect as the command."""
    commands = [["event", "coding", "stay", "sent", "at:datetime"], ["service", "billing"]]
    for command in commands:
        before = tree(clinic)
        shown = CliRunner().invoke(cli, ["new", *command, "--project", str(clinic), "--dry-run"])
        assert shown.exit_code == 0
        assert tree(clinic) == before
        assert "would be changed" in shown.stderr
        assert run(clinic, *command).stdout == shown.stdout
        after = tree(clinic)
        other = tmp_path / command[0]
        for path, code in before.items():
            (other / path).parent.mkdir(parents=True, exist_ok=True)
            (other / path).write_bytes(code)
        subprocess.run(["git", "apply"], cwd=other, input=shown.stdout, text=True, check=True)
        assert tree(other) == after


def test_dry_run_suggests_no_next_step(clinic: Path) -> None:
    """A dry run has made nothing, so it does not say what comes next; the command itself does."""
    command = ["event", "coding", "stay", "sent", "--quiet"]
    assert "next:" not in run(clinic, *command, "--dry-run").stderr
    assert "next: domainstream new subscriber domain_coding_stay_sent QUEUE" in run(clinic, *command).stderr


def test_second_run_has_nothing_to_do(clinic: Path) -> None:
    """Running a command again shows no diff and reports that there is nothing to do."""
    result = run(clinic, "event", "Coding", "Stay", "StayCoded", "Id:str")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "nothing to do" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["service", "json"], 1, "json would shadow the package of that name"),
        (["service", "co.ding"], 1, "'co.ding' must be words of letters and digits"),
        (["event", "coding", "stays", "coded"], 1, "the aggregate 'stays' is plural; use 'stay'"),
        (["event", "coding", "stay", "code"], 1, "CODE is not in the past tense; use DOMAIN_CODING_STAY_CODED"),
        (["event", "coding", "class", "coded"], 1, "class is a Python keyword"),
        (["event", "coding", "stay", "x" * 60 + "-coded"], 1, "more than 56 characters; use a shorter one"),
        (["event", "coding", "stay", "removed"], 1, "DOMAIN_CODING_STAY_REMOVED is the name of a retired channel"),
        (["event", "coding", "stay", "coded", "--internal"], 1, "goes to Channel.DOMAIN_CODING_STAY_CODED; run the"),
        (["event", "coding", "stay", "coded", "id:int"], 1, "it exists with other fields"),
        (["event", "coding", "stay", "sent", "id:strr"], 2, "strr is not a type. Did you mean str"),
        (["event", "codin", "stay", "sent"], 4, "no service codin. Did you mean coding?"),
        (["subscriber", "domain_coding_stay_code", "coding"], 4, "Did you mean domain_coding_stay_coded?"),
        (["subscriber", "domain_coding_stay_coded", "codin"], 4, "Did you mean coding?"),
        (
            ["subscriber", "domain_coding_stay_coded", "coding", "--service", "x"],
            1,
            "queue coding is consumed by coding",
        ),
    ],
)
def test_refused_command_changes_nothing(clinic: Path, arguments: list[str], code: int, message: str) -> None:
    """The exit code distinguishes broken rules, unreadable arguments and unknown names; the message has a fix."""
    (clinic / "domainstream.toml").write_text('retired = ["DOMAIN_CODING_STAY_REMOVED"]\n')
    before = tree(clinic)
    result = run(clinic, *arguments)
    assert result.exit_code == code
    assert result.stdout == ""
    assert message in result.stderr
    assert tree(clinic) == before


def test_new_finding_of_check_restores_the_project(clinic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If `check` has a new finding in the result, every file is restored."""
    finding = Finding(Location(CHANNELS), "DS999", "all is wrong", "think again")
    answers = iter([[], [finding]])
    monkeypatch.setattr(plan, "check_project", lambda _root: next(answers))
    before = tree(clinic)
    result = run(clinic, "service", "billing")
    assert result.exit_code == 1
    assert "DS999 all is wrong; think again" in result.stderr
    assert tree(clinic) == before
    assert not (clinic / "services/billing").exists()


def test_snapshot_does_not_prevent_new_events(clinic: Path) -> None:
    """In a project with snapshots a new event is made, and the next step is to take its snapshot."""
    snapshot = ["schema", "snapshot", str(clinic)]
    assert CliRunner().invoke(cli, snapshot).exit_code == 0
    result = run(clinic, "event", "coding", "stay", "billed", "id:str")
    assert result.exit_code == 0
    assert ("next: domainstream schema snapshot\n" in result.stderr) is True
    assert CliRunner().invoke(cli, snapshot).exit_code == 0
    assert CliRunner().invoke(cli, ["check", str(clinic)]).stdout == ""
    assert "schema snapshot" not in run(clinic, "event", "coding", "stay", "moved", "--internal").stderr


def test_failing_disk_leaves_the_project_unchanged(clinic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written before a failure are restored."""
    write, left = plan._write, iter(range(5))

    def failing(path: Path, content: bytes) -> None:
        if next(left, None) == 4:
            raise OSError(28, "No space left on device", str(path))
        write(path, content)

    monkeypatch.setattr(plan, "_write", failing)
    before = tree(clinic)
    result = run(clinic, "service", "billing")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert tree(clinic) == before


def test_changes_may_be_one_json_object(clinic: Path) -> None:
    """`--json` prints the diff and its files as one JSON object on one line."""
    command = ["new", "service", "billing", "--project", str(clinic), "--dry-run"]
    shown, as_json = (CliRunner().invoke(cli, [*command, *more]) for more in ([], ["--json"]))
    (line,) = as_json.stdout.splitlines()
    changes = json.loads(line)
    assert changes["diff"] == shown.stdout
    assert "services/billing/pyproject.toml" in changes["new"]
    assert "packages/contracts/src/contracts/event_publisher_channels.py" in changes["edited"]


def test_project_is_made_once(tmp_path: Path) -> None:
    """Making a project again adds missing files and keeps edited ones."""
    make_project(tmp_path)
    (tmp_path / "README.md").write_text("ours")
    (tmp_path / "Makefile").unlink()
    result = CliRunner().invoke(cli, ["new", "project", str(tmp_path)])
    assert result.exit_code == 0
    assert (tmp_path / "README.md").read_text() == "ours"
    assert "1 file new" in result.stderr


def test_new_project_keeps_unread_events(clinic: Path) -> None:
    """The retention of a new project is as safe as the default: nothing is removed before it was read."""
    names = runpy.run_path(str(clinic / "packages/contracts/src/contracts/retention.py"))
    assert names["RETENTION"] == Retention()


def test_project_is_not_made_in_another_workspace(tmp_path: Path) -> None:
    """A folder with a workspace of its own is refused; other existing files, such as a README, are kept."""
    (tmp_path / "pyproject.toml").write_text("")
    result = CliRunner().invoke(cli, ["new", "project", str(tmp_path)])
    assert result.exit_code == 1
    assert "pyproject.toml exists" in result.stderr
    assert tree(tmp_path) == {"pyproject.toml": b""}
    (tmp_path / "pyproject.toml").rename(tmp_path / "README.md")
    make_project(tmp_path)
    assert (tmp_path / "README.md").read_bytes() == b""


def test_project_is_not_made_inside_another(tmp_path: Path) -> None:
    """No project is made inside of a project, because the commands of the outer one would include it."""
    make_project(tmp_path)
    before = tree(tmp_path)
    result = CliRunner().invoke(cli, ["new", "project", str(tmp_path / "clinic")])
    assert result.exit_code == 1
    assert tree(tmp_path) == before
    assert f"it lies in the project {tmp_path}" in result.stderr


def test_command_outside_of_a_project_is_refused(tmp_path: Path) -> None:
    """Outside of a project, the error names the command that makes one."""
    result = run(tmp_path, "service", "coding")
    assert result.exit_code == 4
    assert "domainstream new project DIR" in result.stderr


def test_commands_work_in_folders_of_the_project(clinic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the project above the current folder."""
    monkeypatch.chdir(clinic / "services/coding")
    assert CliRunner().invoke(cli, ["new", "service", "billing"]).exit_code == 0
    assert (clinic / "services/billing/pyproject.toml").is_file()


def test_help_loads_no_parser() -> None:
    """`domainstream new event --help` imports neither libcst nor jinja2."""
    program = (
        "import sys; from click.testing import CliRunner; from domainstream.cli.main import cli; "
        "result = CliRunner().invoke(cli, ['new', 'event', '--help']); assert 'list[...]' in result.output; "
        "print(sorted({'libcst', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_extra_is_reported(tmp_path: Path) -> None:
    """A missing extra is one line on stderr, without a traceback."""
    program = (
        "import sys; sys.modules['libcst'] = None; from domainstream.cli.main import cli; cli(['new', 'project', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "`domainstream new` needs an extra. Run: pip install 'domainstream[cli]'\n"


def test_wheel_has_what_the_package_reads(tmp_path: Path) -> None:
    """The wheel has every file of the package, such as templates and Lua scripts, the demo's services, and no other."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = (path for path in (ROOT / "src/domainstream").rglob("*") if path.is_file() and path.suffix != ".pyc")
    package = {path.relative_to(ROOT / "src").as_posix() for path in files}
    demo = {name for name in inside if name.startswith("domainstream/_monorepo/")}
    assert inside == package | demo
    assert len([name for name in package if name.endswith((".j2", ".lua"))]) > 40
    assert {name.split("/")[2] for name in demo} == {"packages", "services"}
    assert not [name for name in demo if not name.endswith((".py", ".toml", "py.typed"))]
