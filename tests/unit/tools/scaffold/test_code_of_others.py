"""Commands on existing code, which is found, kept, or refused."""

from pathlib import Path

from integration.tools.scaffold.sequences import CHANNELS, SUBSCRIPTIONS, run, tree


def test_aggregate_that_changes_the_meaning_of_a_channel_is_refused(clinic: Path) -> None:
    """An aggregate `stay_check` is refused if it would take over an event of the aggregate `stay`."""
    assert run(clinic, "event", "coding", "stay", "check_created").exit_code == 0
    aggregate = run(clinic, "event", "coding", "stay_check", "sent")
    assert aggregate.exit_code == 1
    assert "DOMAIN_CODING_STAY_CHECK_CREATED would then be read as created of aggregate stay_check" in aggregate.stderr


def test_event_that_reads_as_another_services_is_refused(clinic: Path) -> None:
    """An event of `coding` is refused if its channel would be read as one of the service `coding_stay`."""
    for event in (["stay", "check_created"], ["check", "created"]):
        assert run(clinic, "event", "coding", *event).exit_code == 0
    channels = clinic / CHANNELS
    channels.write_text(channels.read_text().replace('"valuation": ()', '"valuation": (), "coding_stay": ("check",)'))
    result = run(clinic, "event", "coding", "stay", "check_sent")
    assert result.exit_code == 1
    assert "would be read as sent of aggregate check of coding_stay" in result.stderr


def test_folder_without_python_is_not_used_for_a_service(clinic: Path) -> None:
    """The folder of a service in another language, such as Node.js, is left alone."""
    (clinic / "services/notifications").mkdir()
    (clinic / "services/notifications/package.json").write_text("{}")
    before = tree(clinic)
    result = run(clinic, "service", "notifications")
    assert result.exit_code == 1
    assert tree(clinic) == before
    assert "services/notifications exists without a Python package" in result.stderr


def test_files_of_other_names_are_found(clinic: Path) -> None:
    """Union, mapper and events are edited where they are, even outside of the guide's layout."""
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


def test_existing_event_gets_its_missing_test(clinic: Path) -> None:
    """The payload of an existing event is read from the code, so the fields need not be given again."""
    test = clinic / "services/coding/tests/test_publish_stay_coded.py"
    text = test.read_text()
    test.unlink()
    assert run(clinic, "event", "coding", "stay", "coded").exit_code == 0
    assert test.read_text() == text


def test_steps_done_by_hand_are_kept(clinic: Path) -> None:
    """An existing channel and its subscription are not added again."""
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


def test_code_of_unknown_form_is_refused(clinic: Path) -> None:
    """Code that cannot be edited is left unchanged, and the message says what to do by hand."""
    (clinic / SUBSCRIPTIONS).write_text("subscriptions = make()\n")
    (clinic / "services/coding/src/coding/domain_layer/coding_domain_event.py").write_text(
        "CodingDomainEvent = some()\n"
    )
    before = tree(clinic)
    result = run(clinic, "event", "coding", "stay", "sent")
    assert result.exit_code == 1
    assert "coding_domain_event.py:1: CodingDomainEvent is not a union of classes" in result.stderr
    assert tree(clinic) == before
