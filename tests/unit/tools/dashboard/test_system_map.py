"""The map of a system as its code describes it."""

from pathlib import Path

from domainstream.tools.check.project import read_project
from domainstream.tools.dashboard.map_links import Handling, expected_jobs, links_of_code
from domainstream.tools.dashboard.system_map import _label

EXAMPLE = Path(__file__).parents[4] / "examples" / "monorepo"
CREATED = "domain_coding_medical_stay_created"


def test_code_leads_from_service_to_handler() -> None:
    """Mappers, subscriptions and consumers become the lines of the map."""
    links = links_of_code(read_project(EXAMPLE))
    assert ("coding", CREATED) in links.published
    assert (CREATED, "screenflow") in links.queued
    assert ("screenflow", "screen_stay") in links.handled


def test_code_says_which_jobs_to_expect() -> None:
    """The subscriptions name queue and job for each channel."""
    assert Handling(queue="screenflow", job="screen-stay") in expected_jobs(read_project(EXAMPLE))[CREATED]


def test_box_of_a_channel_says_what_the_lines_do_not() -> None:
    """A channel's box leaves out `domain_` and the service that a line leads to; others are whole."""
    assert _label(CREATED, ["billing", "coding"]) == "medical_stay_created"
    assert _label("domain_old_alpha_created", ["coding"]) == "domain_old_alpha_created"
