"""The channels, payloads and jobs of a system as TypeScript, for services of Node.js."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from domainstream.tools.docgen.docstrings import parse_docstring
from domainstream.tools.docgen.envelope import ALWAYS, envelope_schema
from domainstream.tools.docgen.schemas import schemas_of
from domainstream.tools.docgen.system import DocumentedChannel, Listener, events_of
from domainstream.tools.docgen.typescript_types import TypeWriter, comment, literal

_HEAD: Final = "// Written by `domainstream docs typescript`. Do not edit it: write it again.\n\n"
_JOBS: Final = """
/** An event that is published to the channel `C`, or to any. */
export type DomainEvent<C extends Channel = Channel> = DomainEvents[C];

/** The stream entry that an event came in. */
export interface RedisEvent<C extends Channel = Channel> {
  readonly name: C;
  /** The entry's id. */
  readonly id: string;
  /** When it was added, in milliseconds since 1970. */
  readonly timestamp: number;
}

/** The data of a job: an event of the channel `C`, or of any, and where it came from. Tell them apart by `type`. */
export type JobData<C extends Channel = Channel> = {
  [One in C]: DomainEvents[One] & { readonly _redisEvent: RedisEvent<One>; readonly correlationId: string };
}[C];
"""


def typescript_of(channels: Iterable[DocumentedChannel]) -> str:
    """Return a module of TypeScript; it holds one value, `Channel`, and types."""
    documented = tuple(channels)
    schemas = schemas_of(events_of(documented))
    writer = TypeWriter(schemas.components)
    types = "".join(
        f"\n{comment(schema.get('description', ''))}export type {writer.names[name]} = {writer.type_of(schema)};\n"
        for name, schema in schemas.components.items()
    )
    payloads = {
        channel: " | ".join(writer.type_of(schemas.payloads[event]) for event in channel.events) or "unknown"
        for channel in documented
    }
    return f"{_HEAD}{_channels(documented)}{types}{_envelope(writer)}{_events(payloads)}{_JOBS}{_queues(documented)}"


def _channels(channels: Iterable[DocumentedChannel]) -> str:
    members = "".join(f"  {channel.channel.name}: {literal(channel.value)},\n" for channel in channels)
    return (
        f"/** Every channel of the system. */\nexport const Channel = {{\n{members}}} as const;\n"
        "export type Channel = (typeof Channel)[keyof typeof Channel];\n"
    )


def _envelope(writer: TypeWriter) -> str:
    properties = {name: schema for name, schema in envelope_schema()["properties"].items() if name != "type"}
    attributes = writer.type_of({"type": "object", "properties": properties, "required": list(ALWAYS)})
    own = f"{comment('The channel.', '  ')}  readonly type: C;\n{comment('The payload.', '  ')}  readonly data: Data;\n"
    return (
        "\n/** One event as a CloudEvents 1.0 JSON object. */\n"
        f"export interface CloudEvent<C extends Channel, Data> {attributes[:-1]}{own}}}\n"
    )


def _events(payloads: dict[DocumentedChannel, str]) -> str:
    lines = "".join(
        comment(_description(channel), "  ")
        + f"  readonly {channel.value}: CloudEvent<{literal(channel.value)}, {payload}>;\n"
        for channel, payload in payloads.items()
    )
    return (
        "\n/** The event of each channel; its payload is unknown where nobody publishes. */\n"
        f"export interface DomainEvents {{\n{lines}}}\n"
    )


def _description(channel: DocumentedChannel) -> str:
    return "\n".join(parse_docstring(event.__doc__ or "").description for event in channel.events)


def _queues(channels: Iterable[DocumentedChannel]) -> str:
    jobs: defaultdict[Listener, list[str]] = defaultdict(list)
    for channel in channels:
        for listener in channel.listeners:
            jobs[listener].append(literal(channel.value))
    queues: defaultdict[str, list[str]] = defaultdict(list)
    for (queue, job), values in sorted(jobs.items()):
        queues[queue].append(f"    readonly {literal(job)}: JobData<{' | '.join(values)}>;\n")
    lines = "".join(f"  readonly {literal(queue)}: {{\n{''.join(own)}  }};\n" for queue, own in queues.items())
    return f"\n/** The data of each queue's jobs, by their names. */\nexport interface Queues {{\n{lines}}}\n"
