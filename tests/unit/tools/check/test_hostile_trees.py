"""Whatever a tree contains, `check` ends with findings and never with a traceback."""

import os
import random
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.checking import CHANNELS, CONSUMER, EVENTS, MAPPER, SUBSCRIPTIONS, UNION, small_system, write_system

from domainstream.tools.check import check_project
from domainstream.tools.check.fixing import fix

FILES = [CHANNELS, SUBSCRIPTIONS, EVENTS, UNION, MAPPER, CONSUMER]

NASTY = {
    "empty": b"",
    "only a byte order mark": b"\xef\xbb\xbf",
    "no utf-8": b"# BaseEvent event_type EventConsumer create_multiple_handlers\n\xff\xfe\n",
    "a zero byte": b"class A(BaseEvent[B]):\x00 event_type = 1\n",
    "a wrong cookie": b"# -*- coding: nonsense -*-\nclass A(BaseEvent[B]): event_type = 1\n",
    "no python": b"class class class BaseEvent event_type EventConsumer create_multiple_handlers match Channel",
    "half a string": b'x = """BaseEvent event_type EventConsumer create_multiple_handlers match Channel',
    "deep brackets": b"BaseEvent = EventConsumer = create_multiple_handlers = " + b"(" * 5_000,
    "deep lists": b"x = BaseEvent, EventConsumer, create_multiple_handlers, " + b"[" * 150 + b"]" * 150,
    "a long union": b"from typing import TypeAlias\nX: TypeAlias = " + b" | ".join([b"BaseEvent"] * 3_000),
    "deep indentation": b"\n".join(b" " * n + b"if BaseEvent:" for n in range(150)) + b"\n" + b" " * 150 + b"pass",
    "a long elif": b"if a: pass\n" + b"elif BaseEvent: pass\n" * 2_000,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", NASTY.values(), ids=list(NASTY))
def test_nasty_file_is_survived(tmp_path: Path, name: str, content: bytes) -> None:
    """A file with unexpected content does not end a check with an error, and every finding has a valid position."""
    findings = check_project(write_system(tmp_path, {**small_system(), name: content}))
    assert all(finding.line >= 1 and finding.column >= 1 for finding in findings)


@pytest.mark.parametrize("kind", ["no utf-8", "no python", "half a string", "deep brackets", "a zero byte"])
def test_file_that_is_not_python_is_named(tmp_path: Path, kind: str) -> None:
    """A file that is not Python is reported as DS001 with its path."""
    events = write_system(tmp_path, {**small_system(), EVENTS: NASTY[kind]})
    assert ("DS001", EVENTS) in [(finding.code, finding.path) for finding in check_project(events)]


@pytest.mark.parametrize("name", [CHANNELS, SUBSCRIPTIONS, UNION, MAPPER, CONSUMER])
def test_file_that_is_empty_is_not_clean(tmp_path: Path, name: str) -> None:
    """An empty file in the place of an important one has findings, because what it should define is missing."""
    assert check_project(write_system(tmp_path, {**small_system(), name: ""}))


def test_byte_order_mark_and_crlf_change_nothing(tmp_path: Path) -> None:
    """Files with a byte order mark and CRLF line ends are read like all others."""
    files = {name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in small_system().items()}
    assert check_project(write_system(tmp_path, files)) == []


def test_links_that_go_in_circles_end(tmp_path: Path) -> None:
    """A folder that contains itself by a link is read once."""
    root = write_system(tmp_path, small_system())
    domain_layer = root / "services/coding/src/coding/domain_layer"
    (domain_layer / "again").symlink_to(domain_layer)
    (root / "services/circle").symlink_to(root / "services")
    (domain_layer / "stay" / "self.py").symlink_to(domain_layer / "stay" / "self.py")
    (domain_layer / "stay" / "gone.py").symlink_to(root / "nowhere.py")
    assert check_project(root) == []


def test_pipe_and_a_folder_with_the_name_of_a_file_are_left_alone(tmp_path: Path) -> None:
    """Pipes and folders with names like Python files are not read, so a check never waits for a writer."""
    root = write_system(tmp_path, small_system())
    os.mkfifo(root / "services/coding/src/coding/pipe.py")
    (root / "services/coding/src/coding/folder.py").mkdir()
    assert check_project(root) == []


def test_folder_with_nothing_says_what_is_missing(tmp_path: Path) -> None:
    """An empty folder is not clean: its missing channels and subscriptions are reported as DS002."""
    assert {finding.code for finding in check_project(tmp_path)} == {"DS002"}


ODD_ENUMS = [
    "Channel = EventPublisherChannel('Channel', ['A', 'B'])\n",
    "class Channel(EventPublisherChannel):\n    A, B = 'a', 'b'\n",
    "class Channel(EventPublisherChannel):\n    pass\n",
    "class Channel(EventPublisherChannel, services=read()):\n    locals()['X'] = 'x'\n",
    "class Channel(EventPublisherChannel, services={1: 2}):\n    DOMAIN_A_B_DONE = auto()\n",
    "class Channel(EventPublisherChannel, services={'a': 'b'}):\n    DOMAIN_A_B_DONE = f'{1}'\n",
    "class Channel(EventPublisherChannel, **options):\n    DOMAIN_A_B_DONE: str = 'domain_a_b_done'\n",
    "class Channel(Channel):\n    DOMAIN_A_B_DONE = 1\n",
    "class Channel(EventPublisherChannel):\n    X = Y = 'y'\n    __Z = 3\n    _ignore_ = ['a']\n",
    "class Channel(EventPublisherChannel):\n    DOMAIN_ = ''\n    Ä = 'ä'\n",
]


@pytest.mark.parametrize("enum", ODD_ENUMS)
def test_enums_in_odd_shapes_are_survived(tmp_path: Path, enum: str) -> None:
    """An enum of channels in an unusual form does not end a check with an error."""
    text = f"from enum import auto\nfrom domainstream import EventPublisherChannel\n\n{enum}"
    check_project(write_system(tmp_path, {**small_system(), CHANNELS: text}))


def test_imports_in_circles_end(tmp_path: Path) -> None:
    """Imports, bases and assignments that go in circles are not followed endlessly, and have no findings."""
    root = write_system(tmp_path, small_system())
    folder = "services/coding/src/coding/domain_layer/stay"
    circle = {
        f"{folder}/a_events.py": "from coding.domain_layer.stay.b_events import E\nclass X(E): event_type = 1\n",
        f"{folder}/b_events.py": "from coding.domain_layer.stay.a_events import E\nclass Y(E): event_type = Y\n",
        f"{folder}/c_events.py": "class Z(Z): event_type = event_type\nA = B\nB = A\nC = C | C\n# TypeAlias\n",
    }
    assert check_project(write_system(root, circle)) == []


def mangled(text: str, seed: int) -> str:
    """Return a file with a few pieces cut out, doubled or replaced."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.randint(0, 30))
        new = chance.choice(["", text[start:end] * 2, "".join(chance.choices(string.printable, k=3)), "\n", "*"])
        text = text[:start] + new + text[end:]
    return text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), seed=st.integers(0, 10**9))
def test_mangled_files_are_survived(tmp_path: Path, name: str, seed: int) -> None:
    """Random damage to any file does not end a check with an error."""
    system = small_system()
    check_project(write_system(tmp_path, system | {name: mangled(system[name], seed)}))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([EVENTS, SUBSCRIPTIONS]), seed=st.integers(0, 10**9))
def test_fixing_mangled_files_breaks_none_of_them(tmp_path: Path, name: str, seed: int) -> None:
    """`--fix` leaves a damaged file as valid as it was, and a second run has nothing left to add."""
    system = small_system()
    text = system[name].replace("@final\n", "").replace("from typing import final\n", "")
    root = write_system(tmp_path, system | {name: mangled(text, seed)})
    before = {finding.path for finding in check_project(root) if finding.code == "DS001"}
    fix(root)
    assert {finding.path for finding in check_project(root) if finding.code == "DS001"} == before
    assert fix(root) == []
