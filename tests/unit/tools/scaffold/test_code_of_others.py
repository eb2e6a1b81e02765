"""Commands on code that somebody else wrote: it is found, kept, or refused."""

from pathlib import Path

from integration.tools.scaffold.sequences import CHANNELS, SUBSCRIPTIONS, run, tree


def test_names_that_would_change_what_others_mean_are_refused(clinic: Path) -> None:
    """`stay_check` would make another event of `stay`'s, and a service `coding_stay` another service's."""
    assert run(clinic, "event", "coding", "stay", "check_created").exit_code == 0
    aggregate = run(clinic, "event", "coding", "stay_check", "sent")
    assert aggregate.exit_code == 1
    assert "DOMAIN_CODING_STAY_CHECK_CREATED would then be read as created of aggregate stay_check" in aggregate.stderr


def test_a_service_that_would_change_what_others_mean_is_refused(clinic: Path) -> None:
    """`coding_stay` would be another publisher of what `coding` publishes about a `stay_check`."""
    for event in (["stay", "check_created"], ["check", "created"]):
        assert run(clinic, "event", "coding", *event).exit_code == 0
    channels = clinic / CHANNELS
    channels.write_text(channels.read_text().replace('"valuation": ()', '"valuation": (), "coding_stay": ("check",)'))
    result = run(clinic, "event", "coding", "stay", "check_sent")
    assert result.exit_code == 1
    assert "would be read as sent of aggregate check of coding_stay" in result.stderr


def test_a_folder_of_others_becomes_no_service(clinic: Path) -> None:
    """A service of Node.js, say, keeps its folder for itself."""
    (clinic / "services/notifications").mkdir()
    (clinic / "services/notifications/package.json").write_text("{}")
    before = tree(clinic)
    result = run(clinic, "service", "notifications")
    assert result.exit_code == 1
    assert tree(clinic) == before
    assert "services/notifications is there, and has no package of Python" in result.stderr


def test_files_of_other_names_are_found(clinic: Path) -> None:
    """Union, mapper and events are edited where they are, also where the guide would not put them."""
    package = clinic / "services/coding/src/coding"
    moved = {
        "domain_layer/coding_domain_event.py": "domain_layer/events.py",
        "domain_layer/stay/stay_events.py": "domain_layer/stay/happenings.py",
    }
    for old, new in moved.items():
        (package / old).rename(package / new)
    for file in clinic.rglob("*.py"):
        text = file.read_text().replace("stay.stay_events", "stay.happenings").replace("CodingDomainEvent", "Happening")
        file.write_text(text.replace("domain_layer.coding_domain_event", "domain_layer.events"))
    before = tree(clinic)
    result = run(clinic, "event", "coding", "stay", "sent")
    assert result.exit_code == 0, result.stderr
    made = set(tree(clinic)) - set(before)
    assert made == {"services/coding/tests/test_publish_stay_sent.py"}
    assert "Happening: TypeAlias = StayCoded | StaySent\n" in (package / "domain_layer/events.py").read_text()


def test_an_event_that_is_there_gets_the_test_that_it_lacks(clinic: Path) -> None:
    """Its payload is read from the code, so that the fields need not be typed again."""
    test = clinic / "services/coding/tests/test_publish_stay_coded.py"
    text = test.read_text()
    test.unlink()
    assert run(clinic, "event", "coding", "stay", "coded").exit_code == 0
    assert test.read_text() == text


def test_steps_made_by_hand_are_taken(clinic: Path) -> None:
    """A channel and its subscription that are there already are not added again."""
    for path, line in ((CHANNELS, '    DOMAIN_CODING_STAY_SENT = "domain_coding_stay_sent"\n'),):
        (clinic / path).write_text((clinic / path).read_text() + line)
    subscriptions = clinic / SUBSCRIPTIONS
    subscriptions.write_text(
        subscriptions.read_text().replace("    }\n", "        Channel.DOMAIN_CODING_STAY_SENT: [],\n    }\n")
    )
    before = tree(clinic)
    assert run(clinic, "event", "coding", "stay", "sent").exit_code == 0
    after = tree(clinic)
    assert {path for path in before if before[path] != after[path]} == {
        f"services/coding/src/coding/{path}"
        for path in (
            "domain_layer/coding_domain_event.py",
            "domain_layer/stay/stay_events.py",
            "infrastructure_layer/events/coding_event_producer/coding_event_producer_mapper.py",
        )
    }


def test_code_of_another_shape_is_refused(clinic: Path) -> None:
    """The message says what to do by hand; nothing is changed."""
    (clinic / SUBSCRIPTIONS).write_text("subscriptions = make()\n")
    (clinic / "services/coding/src/coding/domain_layer/coding_domain_event.py").write_text(
        "CodingDomainEvent = some()\n"
    )
    before = tree(clinic)
    result = run(clinic, "event", "coding", "stay", "sent")
    assert result.exit_code == 1
    assert "coding_domain_event.py: CodingDomainEvent is no union of classes" in result.stderr
    assert tree(clinic) == before
