"""`domainstream.toml`: what it may contain, and what is reported about the rest."""

from pathlib import Path

import pytest
from support.checking import CHANNELS, SUBSCRIPTIONS, small_system, write_system

from domainstream.errors import ConfigurationError
from domainstream.tools.check import CheckSettings, check_project, read_settings


def test_without_a_file_the_layout_is_the_guides(tmp_path: Path) -> None:
    """A system without a settings file has the default settings."""
    assert read_settings(tmp_path) == CheckSettings()


def test_list_of_one_may_be_a_string(tmp_path: Path) -> None:
    """A list of one may be written as a string, and settings that are left out keep their defaults."""
    write_system(tmp_path, {"domainstream.toml": 'services = "apps/*"\nretired = ["A", "B"]\ncontracts = "schemas"\n'})
    expected = CheckSettings(services=("apps/*",), retired=("A", "B"), contracts="schemas")
    assert read_settings(tmp_path) == expected


def test_parts_may_lie_elsewhere(tmp_path: Path) -> None:
    """Every part of a system can be in another folder, and a service is called as its folder."""
    moves = {
        "packages/contracts/src/contracts/": "libs/shared/contracts/",
        "services/coding/src/": "apps/",
    }
    files = {}
    for name, text in small_system().items():
        moved = name
        for old, new in moves.items():
            moved = moved.replace(old, new)
        files[moved] = text
    toml = (
        'channels = "libs/*/contracts/event_publisher_channels.py"\nsubscriptions = "libs/*/*/subscriptions.py"\n'
        'services = ["apps/*"]\npackages = ["libs/shared/*"]\n'
    )
    assert check_project(write_system(tmp_path, files | {"domainstream.toml": toml})) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "it is not TOML"),
        ("serivces = 1", "unknown setting 'serivces'; the settings are: channels, subscriptions"),
        ("channels = 1", "channels must be a list of strings"),
        ("services = [1]", "services must be a list of strings"),
        ('queues = ["a"]', "queues must be a string"),
        ('channels = "/etc/passwd"', "channels: '/etc/passwd' must be a path below this folder"),
        ('channels = "../x.py"', "channels: '../x.py' must be a path below this folder"),
        ('services = ""', "services: '' must be a path below this folder"),
    ],
)
def test_every_mistake_is_reported(text: str, message: str, tmp_path: Path) -> None:
    """A setting that cannot be used raises a ConfigurationError that names the file and the correction."""
    write_system(tmp_path, {"domainstream.toml": text})
    with pytest.raises(ConfigurationError, match=r"domainstream\.toml cannot be used") as caught:
        check_project(tmp_path)
    assert message in str(caught.value)


def test_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    """A settings file that is not UTF-8 raises a ConfigurationError instead of a decoding error."""
    write_system(tmp_path, {"domainstream.toml": b"\xff\xfe"})
    with pytest.raises(ConfigurationError, match="it is not TOML"):
        read_settings(tmp_path)


@pytest.mark.parametrize("pattern", ["**", "*", "[", "services/*/src/*/**", "services/[a-z]*/src/*", "**/*.py"])
def test_every_pattern_is_survived(pattern: str, tmp_path: Path) -> None:
    """Patterns that match too much, or nothing, do not end a check with an error."""
    toml = f'services = "{pattern}"\nchannels = ["{CHANNELS}", "{pattern}"]\nsubscriptions = "{SUBSCRIPTIONS}"\n'
    check_project(write_system(tmp_path, small_system() | {"domainstream.toml": toml}))
