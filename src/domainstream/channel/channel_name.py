"""The grammar of channel names: `DOMAIN_{SERVICE}_{AGGREGATE}_{EVENT_NAME}`. Used by `event_publisher_channel`."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from domainstream.channel.past_tense import is_past_tense, past_tense_of

Services = Mapping[str, Collection[str]]
"""Which services there are and which aggregates each has, in lower case: `{"coding": ("optimization", "medical_stay")}`."""

_GRAMMAR: Final = re.compile(r"DOMAIN(_[A-Z][A-Z0-9]*){3,}")


class ChannelName(NamedTuple):
    """The parts of a channel's name, in lower case.

    Attributes:

        service: Who publishes it.

        aggregate: What it happened to.

        event_name: What happened.
    """

    service: str
    aggregate: str
    event_name: str


def parse_channel_name(name: str, services: Services | None) -> ChannelName:
    """Split a name that keeps the grammar.

    With `services`, the longest known service and aggregate that fit are taken. Without, or where nothing known fits,
    the first word is the service, the second the aggregate, and the rest says what happened.
    """
    words = name.lower().removeprefix("domain_")
    service = _longest_prefix(words, services or ()) or words.partition("_")[0]
    rest = words.removeprefix(f"{service}_")
    aggregate = _longest_prefix(rest, (services or {}).get(service, ())) or rest.partition("_")[0]
    return ChannelName(service, aggregate, rest.removeprefix(f"{aggregate}_"))


def violations_of(name: str, value: str, services: Services | None) -> Iterator[str]:
    """Yield one sentence, with its fix, for each rule that a member of the channel enum breaks."""
    if not _GRAMMAR.fullmatch(name):
        yield f"{name}: expected DOMAIN_{{SERVICE}}_{{AGGREGATE}}_{{EVENT_NAME}} in upper case; type: {_in_grammar(name)}"
        return
    if value != name.lower():
        yield f"{name}: the value must be the name in lower case; type: {name} = {name.lower()!r}"
    yield from _unknown(name, services)
    parts = parse_channel_name(name, services)
    words = parts.event_name.upper().split("_")
    if not any(map(is_past_tense, words)):
        fixed = "_".join([*words[:-1], past_tense_of(words[-1])])
        yield f"{name}: {'_'.join(words)} is not in the past tense; type: {_joined(parts, fixed)}"


def services_violations(services: Services) -> Iterator[str]:
    """Yield one sentence, with its fix, for each service or aggregate whose own name breaks a rule."""
    for service, aggregates in services.items():
        for name in (service, *aggregates):
            if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*", name):
                yield f"services: {name!r} must be lower-case words joined by _"
        for aggregate in aggregates:
            if singular_of(aggregate) != aggregate:
                yield f"services: the aggregate {aggregate!r} is plural; type: {singular_of(aggregate)!r}"


def singular_of(word: str) -> str:
    """Return the singular of an English noun that looks plural, else the noun itself: stays → stay, status → status."""
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is", "news", "series", "species")):
        return word[:-1]
    return word


def _unknown(name: str, services: Services | None) -> Iterator[str]:
    if services is None:
        return
    words = name.lower().removeprefix("domain_")
    service = _longest_prefix(words, services)
    if service is None:
        yield f"{name}: no known service; services are {', '.join(services)}; add it to services= of the class"
        return
    rest = words.removeprefix(f"{service}_")
    if plural := _plural(rest, services[service]):
        fixed = rest.replace(plural, singular_of(plural), 1)
        yield f"{name}: the aggregate {plural} is plural; type: {f'domain_{service}_{fixed}'.upper()}"
    elif _longest_prefix(rest, services[service]) is None:
        known = ", ".join(services[service]) or "none yet"
        yield f"{name}: no known aggregate of {service} (known: {known}); add it to services= of the class"


def _plural(words: str, aggregates: Collection[str]) -> str | None:
    """Return the beginning of `words` that is the plural of a known aggregate, if there is one."""
    parts = words.split("_")
    beginnings = ("_".join(parts[:count]) for count in range(1, len(parts)))
    return next((one for one in beginnings if singular_of(one) != one and singular_of(one) in aggregates), None)


def _longest_prefix(words: str, known: Collection[str]) -> str | None:
    return max((one for one in known if words.startswith(f"{one}_")), key=len, default=None)


def _in_grammar(name: str) -> str:
    words = [word for word in re.split(r"[^A-Z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper()) if word]
    words = words[1:] if words[:1] == ["DOMAIN"] else words
    missing = ("SERVICE", "AGGREGATE", "EVENT_NAME")[len(words) :]
    return "_".join(["DOMAIN", *words, *missing])


def _joined(parts: ChannelName, event_name: str) -> str:
    return "_".join(["domain", parts.service, parts.aggregate, event_name]).upper()
