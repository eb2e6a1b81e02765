"""Systems to check, written into a folder: from pages of the documentation, or from changes to a small one."""

import re
from collections.abc import Mapping
from pathlib import Path

RULE_PAGES = Path(__file__).parents[2] / "docs" / "rules"

_FILE = re.compile(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)

CHANNELS = "packages/contracts/src/contracts/event_publisher_channels.py"
SUBSCRIPTIONS = "packages/contracts/src/contracts/subscriptions.py"
EVENTS = "services/coding/src/coding/domain_layer/stay/stay_events.py"
UNION = "services/coding/src/coding/domain_layer/coding_domain_event.py"
MAPPER = "services/coding/src/coding/infrastructure_layer/events/coding_event_producer/coding_event_producer_mapper.py"
CONSUMER = "services/coding/src/coding/infrastructure_layer/consumers/coding_consumer.py"


def files_in(text: str) -> dict[str, str]:
    """Return the files that a page shows, by path."""
    return dict(_FILE.findall(text))


def small_system() -> dict[str, str]:
    """Return the clean system that the rules' examples change."""
    return files_in((RULE_PAGES / "README.md").read_text(encoding="utf-8"))


def example(code: str, heading: str) -> dict[str, str]:
    """Return the files under one heading of a rule's page."""
    page = (RULE_PAGES / f"{code}.md").read_text(encoding="utf-8")
    return files_in(page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0])


def write_system(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below `root`, and return it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root
