"""Names are those of OpenTelemetry's conventions for messaging as they are now, and none that these gave up."""

import inspect
import re
from types import ModuleType
from typing import Final

from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv._incubating.metrics import messaging_metrics
from opentelemetry.semconv.attributes import error_attributes, server_attributes
from opentelemetry.trace import SpanKind

from domainstream.telemetry import Attribute, Metric, Span
from domainstream.telemetry.spans import METRIC_ATTRIBUTES

ALLOWED: Final = {
    "messaging.system",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.destination.name",
    "messaging.destination.partition.id",
    "messaging.consumer.group.name",
    "messaging.message.id",
    "messaging.message.conversation_id",
    "messaging.batch.message_count",
    "server.address",
    "server.port",
    "error.type",
}
"""The names that our spans and metrics may have."""

GIVEN_UP: Final = {"messaging.operation", "messaging.client_id", "messaging.destination_publish.name"}
"""Names that other libraries still use."""

KINDS: Final = {"send": {"PRODUCER", "CLIENT"}, "receive": {"CLIENT"}, "process": {"CONSUMER"}}
"""The kinds of spans that the conventions allow for each type of operation."""


CONSTANT: Final = re.compile(r'^[A-Z_]+: Final(?:\[str\])? = "([^"]+)"\n(?:"""(.*?)""")?', re.MULTILINE | re.DOTALL)


def names(*modules: ModuleType, deprecated: bool) -> set[str]:
    """Return the names that a package of the conventions has, or has deprecated."""
    found = [match for module in modules for match in CONSTANT.findall(inspect.getsource(module))]
    return {name for name, note in found if ("Deprecated" in note) == deprecated}


def test_attributes_are_the_allowed_ones() -> None:
    """A new attribute has to be looked up in the conventions first."""
    assert {str(attribute) for attribute in Attribute} == ALLOWED


def test_attributes_are_known_to_the_conventions() -> None:
    """Each name is one that the conventions have and have not deprecated."""
    known = names(messaging_attributes, error_attributes, server_attributes, deprecated=False)

    assert known >= ALLOWED


def test_control_deprecated_names_are_recognized() -> None:
    """Control: what the conventions gave up is not among the known names."""
    assert "messaging.operation" in names(messaging_attributes, deprecated=True)
    assert names(messaging_attributes, deprecated=False).isdisjoint(GIVEN_UP)


def test_metrics_are_known_to_the_conventions() -> None:
    """Each metric is one that the conventions have and have not deprecated."""
    assert names(messaging_metrics, deprecated=False) >= {metric.value for metric in Metric}
    assert "messaging.publish.duration" in names(messaging_metrics, deprecated=True)


def test_spans_have_the_kind_of_their_operation() -> None:
    """A tool that draws a map of services by the kinds of spans draws the right one."""
    assert [span for span in Span if span.kind not in KINDS[span.operation_type]] == []
    assert {span.kind for span in Span} <= {kind.name for kind in SpanKind}


def test_metrics_have_no_attribute_of_many_values() -> None:
    """An id of an event as an attribute would make a time series for each event."""
    assert not {Attribute.MESSAGE_ID, Attribute.CONVERSATION_ID} & {*METRIC_ATTRIBUTES}
