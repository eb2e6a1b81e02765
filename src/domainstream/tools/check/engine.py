"""Every rule, and the check that runs them all: what comments and settings ignore is left out."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from domainstream.tools.check.findings import Finding, RawFinding
from domainstream.tools.check.model.project import IgnoreComment, Project
from domainstream.tools.check.project import read_project
from domainstream.tools.check.rules import channels as rules_channels
from domainstream.tools.check.rules import contract as rules_contract
from domainstream.tools.check.rules import events as rules_events
from domainstream.tools.check.rules import files as rules_files
from domainstream.tools.check.rules import mapping as rules_mapping
from domainstream.tools.check.rules import orders as rules_orders
from domainstream.tools.check.rules import readers as rules_readers
from domainstream.tools.check.rules import subscriptions as rules_subscriptions

_UNUSED_IGNORE: Final = "DS004"
"""The rule that a comment breaks when no finding needs it."""


class Rule(NamedTuple):
    """A rule and how it is checked."""

    code: str
    """Its permanent name, such as "DS401"."""

    summary: str
    """What it finds, in a few words."""

    find: Callable[[Project], Iterable[RawFinding]] | None
    """Yields what it finds in a project; None for the rule that runs after all others."""

    fixable: bool = False
    """Whether `check --fix` can fix it."""


RULES: Final = (
    Rule("DS001", "file that cannot be read", rules_files.unreadable),
    Rule("DS002", "no channels or no subscriptions found", rules_files.nothing_to_check),
    Rule("DS003", "ignored without a reason", rules_files.ignored_without_reason),
    # Only the findings of all other rules show whether a comment is needed.
    Rule(_UNUSED_IGNORE, "ignored without need", None),
    Rule("DS005", "definition that a later one replaces", rules_files.replaced_definitions),
    Rule("DS101", "channel name outside of the grammar", rules_channels.wrong_grammar),
    Rule("DS102", "channel value that is not the name in lower case", rules_channels.wrong_value),
    Rule("DS103", "channel value used twice", rules_channels.duplicate_values),
    Rule("DS104", "event name that is not in the past tense", rules_channels.not_past_tense),
    Rule("DS105", "unknown service", rules_channels.unknown_service),
    Rule("DS106", "plural or unknown aggregate", rules_channels.unknown_aggregate),
    Rule("DS107", "retired name used again", rules_channels.retired_names),
    Rule("DS108", "channel removed or renamed", rules_channels.removed_channels),
    Rule("DS109", "partitions that a channel cannot have", rules_channels.wrong_partitions),
    Rule("DS201", "event class outside of domain_layer/{aggregate}", rules_events.outside_domain_layer),
    Rule("DS202", "event class that is not @final", rules_events.not_final, fixable=True),
    Rule("DS203", "event class without an event type", rules_events.without_type),
    Rule("DS204", "event type used twice", rules_events.same_type),
    Rule("DS205", "event missing in its service's union", rules_events.not_in_union),
    Rule("DS206", "domain layer that imports infrastructure", rules_events.infrastructure_imported),
    Rule("DS207", "payload field that takes naive datetimes", rules_events.naive_datetimes),
    Rule("DS208", "event field that messages do not carry", rules_events.lost_fields),
    Rule("DS209", "payload field whose type cannot be sent", rules_events.unwritable_types),
    Rule("DS301", "event without a case in the mapper", rules_mapping.without_case),
    Rule("DS302", "wildcard that hides missing cases", rules_mapping.hiding_wildcard),
    Rule("DS303", "mapper without assert_never", rules_mapping.without_assert_never),
    Rule("DS304", "channel that the enum does not have", rules_mapping.unknown_channel),
    Rule("DS305", "event sent to another event's channel", rules_mapping.another_events_channel),
    Rule("DS306", "two events on one channel", rules_mapping.shared_channel),
    Rule("DS307", "return type that forbids None", rules_mapping.forbidden_none),
    Rule("DS308", "case that is never reached", rules_mapping.unreached_cases),
    Rule("DS401", "channel missing from the subscriptions", rules_subscriptions.missing_channels, fixable=True),
    Rule("DS402", "subscription to an unknown channel", rules_subscriptions.unknown_channels),
    Rule("DS403", "same queue and job twice on a channel", rules_subscriptions.doubled_jobs),
    Rule("DS404", "queue without a consumer", rules_subscriptions.queues_without_consumer),
    Rule("DS405", "job without a handler", rules_subscriptions.unhandled_jobs),
    Rule("DS406", "channel twice in the subscriptions", rules_subscriptions.replaced_entries),
    Rule("DS407", "event with two handlers in a queue", rules_subscriptions.doubled_handlers),
    Rule("DS408", "queue with two consumers", rules_subscriptions.doubled_consumers),
    Rule("DS409", "queue or job value used twice", rules_subscriptions.doubled_names),
    Rule("DS410", "queue with two numbers of partitions", rules_subscriptions.disagreeing_partitions),
    Rule("DS411", "queue with several orders", rules_orders.mixed_orders),
    Rule("DS412", "failed job that holds others and expires", rules_orders.expiring_holders),
    Rule("DS413", "jobs in order without a priority", rules_orders.orders_without_priority),
    Rule("DS501", "channel without a publisher", rules_subscriptions.unpublished_channels),
    Rule("DS502", "event published by two services", rules_subscriptions.published_twice),
    Rule("DS503", "subscription to a channel without a publisher", rules_subscriptions.unpublished_subscriptions),
    Rule("DS601", "payload field removed", rules_contract.field_removed),
    Rule("DS602", "payload field retyped", rules_contract.field_retyped),
    Rule("DS603", "new required payload field", rules_contract.field_required),
    Rule("DS604", "enum in a payload narrowed", rules_contract.enum_narrowed),
    Rule("DS605", "event without a snapshot", rules_contract.without_snapshot),
    Rule("DS606", "payload written in another form", rules_contract.class_reshaped),
    Rule("DS607", "payload closed to unknown fields", rules_contract.class_closed),
    Rule("DS608", "enum in a payload widened", rules_contract.enum_widened),
    Rule("DS609", "limit of a payload field tightened", rules_contract.limit_tightened),
    Rule("DS610", "limit of a payload field loosened", rules_contract.limit_loosened),
    Rule("DS611", "snapshot that is out of date", rules_contract.outdated_snapshot),
    Rule("DS612", "event version without upcasters", rules_contract.unreachable_version),
    Rule("DS613", "number of partitions changed", rules_contract.repartitioned),
    Rule("DS701", "reader without a contract", rules_readers.without_contract),
    Rule("DS702", "reader's field that the event does not have", rules_readers.missing_fields),
    Rule("DS703", "reader's field of another type", rules_readers.other_types),
    Rule("DS704", "reader requires an optional field", rules_readers.optional_fields),
    Rule("DS705", "reader of another version", rules_readers.of_another_version),
    Rule("DS706", "reader that refuses unknown fields", rules_readers.closed_readers),
)
"""Codes never change their meaning."""


def check_project(root: Path) -> list[Finding]:
    """Return what is wrong with the system whose folder is `root`, sorted by location; empty when it is clean.

    Raises `ConfigurationError` for a `domainstream.toml` that cannot be used.
    """
    return findings_of(read_project(root))


def findings_of(project: Project) -> list[Finding]:
    """Return what is wrong with a system that has been read."""
    findings = (
        Finding(location, rule.code, message, fix)
        for rule in RULES
        if rule.find is not None
        for location, message, fix in rule.find(project)
    )
    kept = _without_ignored(findings, project.ignores)
    return sorted(finding for finding in kept if not finding.code.startswith(project.settings.ignore))


def _without_ignored(findings: Iterable[Finding], comments: Iterable[IgnoreComment]) -> Iterator[Finding]:
    """Yield the findings that no comment ignores, then one for each code that a comment names unnecessarily."""
    comment_of = {
        (comment.location.path, comment.line, code): comment for comment in comments for code in comment.codes
    }
    unused = dict(comment_of)
    for finding in findings:
        key = (finding.path, finding.line, finding.code)
        if key in comment_of:
            unused.pop(key, None)
        else:
            yield finding
    for (_, _, code), comment in unused.items():
        yield Finding(comment.location, _UNUSED_IGNORE, f"there is no {code} here to ignore", "remove the comment")
