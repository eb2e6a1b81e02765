"""What operators read and load: the page of metrics, the dashboard and the alerts have exactly what there is."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from domainstream.tools.metrics.table import Metric

DOCS: Final = Path(__file__).parents[4] / "docs"
DASHBOARD: Final = json.loads((DOCS / "operate" / "grafana.json").read_text(encoding="utf-8"))
ALERTS: Final = (DOCS / "operate" / "alerts.yml").read_text(encoding="utf-8")

NAME: Final = re.compile(r"\b(?:domainstream|redis|bullmq)_\w+")
LABELS: Final = re.compile(r"(?:\bby|\bon) \(([^)]*)\)|\b(\w+)(?:=~|!~|!=|=)\"")
OF_SCRAPES: Final = {"job", "instance"}
"""The labels that Prometheus adds."""

MISSING = "promtool is not installed (apt-get install prometheus)"


def row(metric: Metric) -> str:
    """Return the page's row for a metric."""
    labels = ", ".join(f"`{name}`" for name in metric.labels)
    return f"| `{metric.value}` | {metric.kind} | {metric.unit} | {labels} | {metric.meaning} |"


def known_names() -> dict[str, tuple[str, ...]]:
    """Return what queries may call the metrics, each with its labels."""
    names: dict[str, tuple[str, ...]] = {}
    for metric in Metric:
        if metric.kind == "histogram":
            names |= {f"{metric.value}_{part}": (*metric.labels, "le") for part in ("bucket", "count", "sum")}
        else:
            names[metric.value] = metric.labels
    return names


def panels() -> Iterator[dict[str, Any]]:
    """Yield the panels of the dashboard that show something."""
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def queries() -> list[str]:
    """Return the queries of the dashboard."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def promtool(*words: str) -> str:
    """Run promtool in the folder of the alerts, and return what it says if it fails."""
    done = subprocess.run(
        ["promtool", *words], cwd=DOCS / "operate", capture_output=True, text=True, check=False, timeout=60
    )
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


def test_page_lists_every_metric_once_in_the_order_of_the_table() -> None:
    """The rows of the page are the rows of `Metric`, one each, in the same order."""
    rows = [line for line in (DOCS / "metrics.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [row(metric) for metric in Metric]


@pytest.mark.parametrize("page", ["how-to/operate.md", "how-to/run-in-production.md", "how-to/scale-by-age.md"])
def test_pages_name_metrics_that_exist(page: str) -> None:
    """A recipe with a name that was changed would never scale anything."""
    text = (DOCS / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:domainstream|redis|bullmq)_\w+_(?:seconds|count|lag|up|keys)\w*", text))
    assert named - known_names().keys() - {metric.value for metric in Metric} == set()


@pytest.mark.parametrize("text", [*queries(), ALERTS])
def test_queries_use_metrics_that_exist(text: str) -> None:
    """A query on a metric that does not exist shows nothing, and an alert on one never fires."""
    assert set(NAME.findall(text)) - known_names().keys() == set()


@pytest.mark.parametrize("query", queries())
def test_queries_use_labels_that_exist(query: str) -> None:
    """A query groups and filters by labels that one of its metrics has."""
    labels = {label for name in NAME.findall(query) for label in known_names()[name]}
    used = {word for found in LABELS.findall(query) for word in re.findall(r"\w+", " ".join(found))}
    assert used - labels - OF_SCRAPES == set()


def test_dashboard_shows_each_metric_of_the_exporter_that_alerts_watch() -> None:
    """Whoever is woken by an alert finds the metric on the dashboard."""
    watched = set(NAME.findall(ALERTS))
    shown = {name for query in queries() for name in NAME.findall(query)}
    assert watched - shown == set()


def test_panels_do_not_overlap() -> None:
    """Every panel has a place of its own on the grid of 24 columns, and an id of its own."""
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason=MISSING)
def test_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    """Prometheus takes every query of the dashboard, once Grafana has put in its variables."""
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__\w+", "5m", query).replace("$", "")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    assert promtool("check", "rules", str(file)) == ""


@pytest.mark.skipif(shutil.which("promtool") is None, reason=MISSING)
def test_alerts_are_valid() -> None:
    """Prometheus takes the rules."""
    assert promtool("check", "rules", "alerts.yml") == ""


@pytest.mark.skipif(shutil.which("promtool") is None, reason=MISSING)
def test_alerts_fire_when_they_should() -> None:
    """The rules fire on series that are wrong, with texts for whoever is on call, and not before."""
    assert promtool("test", "rules", "alerts_test.yml") == ""


@pytest.mark.parametrize("command", sorted(set(re.findall(r"domainstream ([a-z-]+)", ALERTS))))
def test_alerts_name_commands_that_exist(command: str) -> None:
    """The command that an alert says to run exists."""
    main = (Path(__file__).parents[4] / "src/domainstream/cli/main.py").read_text(encoding="utf-8")
    assert f'"{command}": LazyCommand(' in main
