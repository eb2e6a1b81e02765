"""The mapper of the guide, transcribed: its three unintended mistakes are found, and no other."""

from pathlib import Path

import pytest
from support.checking import CHANNELS, MAPPER, SUBSCRIPTIONS, UNION, write_system

from domainstream.tools.check import check_project

EVENTS = "services/coding/src/coding/domain_layer/{aggregate}/{aggregate}_events.py"

EVENT = """
from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class {title}EventType(StrEnum):
    {channel} = "{value}"


class {event}Payload(EventPayload):
    stay_id: str


@final
class {event}(BaseEvent[{event}Payload]):
    event_type = {title}EventType.{channel}
"""

BY_TYPE = '''
from typing import assert_never

from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.domain_layer.medical_stay.medical_stay_events import MedicalStayEventType
from coding.domain_layer.optimization.optimization_events import OptimizationEventType
from contracts.event_publisher_channels import EventPublisherChannel


def get_channel_name_for_event(event: CodingDomainEvent) -> EventPublisherChannel:
    """Maps event types to channel names. Returns None for unmapped events (won't be published to Redis)."""
    match event.event_type:
        case OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED:
            return EventPublisherChannel.DOMAIN_CODING_OPTIMIZATION_EVALUATED
        case MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED:
            return EventPublisherChannel.DOMAIN_CODING_ORCHESTRATOR_RE_EVALUATED_FROM_IGNORED
        case _:
            assert_never(event)
'''

BY_CLASS = (
    BY_TYPE.replace("match event.event_type", "match event")
    .replace("OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED:", "OptimizationEvaluated():")
    .replace(
        "MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED:", "MedicalStayOptimizationEvaluated():"
    )
    .replace("import MedicalStayEventType", "import MedicalStayOptimizationEvaluated")
    .replace("import OptimizationEventType", "import OptimizationEvaluated")
)


def event_file(aggregate: str, event: str, channel: str) -> str:
    """Return an aggregate's file of events."""
    title = "".join(word.title() for word in aggregate.split("_"))
    return EVENT.format(title=title, event=event, channel=channel, value=channel.lower())


def guide(mapper: str) -> dict[str, str]:
    """Return the guide's system around a mapper: two channels, `[]` for each, two events."""
    optimization, stay = (
        "DOMAIN_CODING_OPTIMIZATION_EVALUATED",
        "DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED",
    )
    return {
        CHANNELS: "from domainstream import EventPublisherChannel as Base\n\n\n"
        "class EventPublisherChannel(Base):\n"
        + "".join(f"    {one} = {one.lower()!r}\n" for one in (optimization, stay)),
        SUBSCRIPTIONS: "from contracts.event_publisher_channels import EventPublisherChannel\n"
        "from domainstream.subscriber import create_multiple_handlers\n\n"
        f"subscriptions = create_multiple_handlers({{EventPublisherChannel.{optimization}: [], "
        f"EventPublisherChannel.{stay}: []}})\n",
        EVENTS.format(aggregate="optimization"): event_file("optimization", "OptimizationEvaluated", optimization),
        EVENTS.format(aggregate="medical_stay"): event_file("medical_stay", "MedicalStayOptimizationEvaluated", stay),
        UNION: "from typing import TypeAlias\n\n"
        "from coding.domain_layer.medical_stay.medical_stay_events import MedicalStayOptimizationEvaluated\n"
        "from coding.domain_layer.optimization.optimization_events import OptimizationEvaluated\n\n"
        "CodingDomainEvent: TypeAlias = OptimizationEvaluated | MedicalStayOptimizationEvaluated\n",
        MAPPER: mapper,
    }


@pytest.mark.parametrize("mapper", [BY_TYPE, BY_CLASS], ids=["by event type", "by class"])
def test_guides_example_has_three_mistakes(mapper: str, tmp_path: Path) -> None:
    """The guide's mapper returns a missing channel, returns another event's, and forbids the None it promises."""
    findings = check_project(write_system(tmp_path, guide(mapper)))
    assert [(finding.code, finding.path) for finding in findings] == [
        ("DS307", MAPPER),
        ("DS304", MAPPER),
        ("DS305", MAPPER),
    ]


def test_without_the_mistakes_the_example_is_clean(tmp_path: Path) -> None:
    """The guide's mapper has no findings once its three mistakes are corrected."""
    corrected = BY_CLASS.replace("ORCHESTRATOR_RE_EVALUATED_FROM_IGNORED", "MEDICAL_STAY_OPTIMIZATION_EVALUATED")
    corrected = corrected.replace("-> EventPublisherChannel:", "-> EventPublisherChannel | None:")
    assert check_project(write_system(tmp_path, guide(corrected))) == []
