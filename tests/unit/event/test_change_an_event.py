"""The page `docs/how-to/change-an-event.md` is true: its examples run as they stand there."""

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from domainstream import BaseEvent, EventPayload
from domainstream.errors import UnknownEventVersionError
from domainstream.event import EventDecoder

PAGE = (Path(__file__).parents[3] / "docs/how-to/change-an-event.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = {
    title: code[1] for title, text in SECTIONS.items() if (code := re.search(r"```python\n(.*?)```", text, re.DOTALL))
}


def read(event_class: Any, version: int, payload: dict[str, Any]) -> Any:
    """Return the payload that a consumer reads of a message of this version."""
    message = {
        "specversion": "1.0",
        "id": "event-1",
        "source": "/services/coding",
        "type": event_class.event_type,
        "time": "2026-01-02T03:04:05Z",
        "subject": "stay-1",
        "dataschema": f"urn:domainstream:events/{event_class.event_type}/{version}",
        "data": payload,
    }
    return EventDecoder([event_class]).decode(json.dumps(message)).payload


def run(title: str) -> dict[str, Any]:
    """Run the example of a section, and return what it defines."""
    names = {"Any": Any, "BaseEvent": BaseEvent, "ClassVar": ClassVar, "EventPayload": EventPayload, "read": read}
    exec(compile(EXAMPLES[title], title, "exec"), names)  # noqa: S102 - the page's own code
    return names


@pytest.mark.parametrize("title", EXAMPLES)
def test_example_runs(title: str) -> None:
    """Each example defines its event, and reads old messages as it claims."""
    assert "assert read(" in EXAMPLES[title]
    assert run(title)


def test_every_change_has_an_example_or_steps() -> None:
    """The page has a section for each change in its table, and an example for each change of a payload."""
    linked = re.findall(r"^\| \[(.*?)\]\(#(.*?)\)", PAGE, re.MULTILINE)
    assert {title.lower().replace(" ", "-") for title in SECTIONS} >= {anchor for _, anchor in linked}
    assert len(EXAMPLES) == len(linked) - 2


def test_version_without_its_step_is_refused() -> None:
    """A message of a version whose step was removed is refused with the step to add."""

    class StayPriced(run("Change a type")["StayPriced"]):  # type: ignore[misc]
        upcasters: ClassVar = {2: lambda payload: payload}

    with pytest.raises(UnknownEventVersionError, match=r"add it in class StayPriced: upcasters = \{1: function\}"):
        read(StayPriced, 1, {"euros": 12.5})
