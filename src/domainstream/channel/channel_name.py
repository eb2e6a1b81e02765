"""The grammar of channel names: `DOMAIN_{SERVICE}_{AGGREGATE}_{EVENT_NAME}`.

Used twice: by the channel enum when it is created, and by `domainstream check` on source code. Both report the same
sentences.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from domainstream.channel.english import is_past_tense, past_tense_of, plurals_of, singular_of

Services = Mapping[str, Collection[str]]
"""The known services and the aggregates of each, in lower case: `{"coding": ("optimization", "medical_stay")}`."""

NameRule = Literal["grammar", "value", "past tense", "service", "aggregate"]
"""The part of a name that a rule is about."""

_GRAMMAR: Final = re.compile(r"DOMAIN(_[A-Z][A-Z0-9]*){3,}")
_WORDS: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*")


class Violation(str):
    """One sentence that says which rule a name breaks, followed by `; ` and the fix."""

    __slots__ = ("rule",)

    rule: NameRule
    """The part of the name that the rule is about."""


class ChannelName(NamedTuple):
    """The parts of a channel's name, in lower case."""

    service: str
    """The service that publishes to the channel."""

    aggregate: str
    """The aggregate that the event happened to."""

    event_name: str
    """What happened."""


def parse_channel_name(name: str, services: Services | None) -> ChannelName:
    """Split a name that follows the grammar.

    With `services`, the longest known service and aggregate that match are used. Without, or if none matches, the
    first word is the service, the second the aggregate, and the rest the event name.
    """
    words, services = _words(name), services or {}
    if known := _known_parts(words, services):
        service, aggregate = known
    else:
        service = _longest_prefix(words, services) or words.partition("_")[0]
        aggregate = words.removeprefix(f"{service}_").partition("_")[0]
    return ChannelName(service, aggregate, words.removeprefix(f"{service}_").removeprefix(f"{aggregate}_"))


def violations_of(name: str, value: str, services: Services | None) -> Iterator[Violation]:
    """Yield one sentence, with its fix, for each rule that a member of the channel enum breaks."""
    if not _GRAMMAR.fullmatch(name):
        sentence = f"{name}: expected DOMAIN_{{SERVICE}}_{{AGGREGATE}}_{{EVENT_NAME}}; use {_nearest_valid(name)}"
        yield _violation("grammar", sentence)
        return
    if value != name.lower():
        yield _violation("value", f"{name}: the value must be the name in lower case; use {name} = {name.lower()!r}")
    if _is_aggregate_alone(name, services or {}):
        yield _violation("grammar", f"{name}: the name does not say what happened; use, for example, {name}_CREATED")
        return
    yield from _unknown_parts(name, services)
    parts = parse_channel_name(name, services)
    event_words = parts.event_name.upper().split("_")
    if not any(map(is_past_tense, event_words)):
        past = "_".join([*event_words[:-1], past_tense_of(event_words[-1])])
        fixed = f"domain_{parts.service}_{parts.aggregate}_{past}".upper()
        sentence = f"{name}: {'_'.join(event_words)} is not in the past tense; use {fixed}"
        yield _violation("past tense", sentence)


def services_violations(services: Services) -> Iterator[Violation]:
    """Yield one sentence, with its fix, for each service or aggregate whose own name breaks a rule."""
    for service, aggregates in services.items():
        if isinstance(aggregates, str):
            sentence = f"services: the aggregates of {service!r} must be a tuple; use {service!r}: ({aggregates!r},)"
            yield _violation("aggregate", sentence)
            continue
        for name in (service, *aggregates):
            if not _WORDS.fullmatch(name):
                fixed = "_".join(_split_words(name)).lower()
                sentence = f"services: {name!r} must be lower-case words joined by _; use {fixed!r}"
                yield _violation("service" if name == service else "aggregate", sentence)
        for aggregate in aggregates:
            if singular_of(aggregate) != aggregate:
                sentence = f"services: the aggregate {aggregate!r} is plural; use {singular_of(aggregate)!r}"
                yield _violation("aggregate", sentence)


def _violation(rule: NameRule, sentence: str) -> Violation:
    violation = Violation(sentence)
    violation.rule = rule
    return violation


def _unknown_parts(name: str, services: Services | None) -> Iterator[Violation]:
    """Yield a violation if the service or the aggregate in `name` is not among the known ones."""
    words = _words(name)
    if services is None or _known_parts(words, services):
        return
    service = _longest_prefix(words, services)
    if service is None:
        known = ", ".join(services) or "none yet"
        yield _violation("service", f"{name}: unknown service (known: {known}); add it to services= of the class")
        return
    rest = words.removeprefix(f"{service}_")
    for aggregate in services[service]:
        for plural in plurals_of(aggregate):
            if rest.startswith(f"{plural}_"):
                fixed = f"domain_{service}_{aggregate}{rest.removeprefix(plural)}".upper()
                yield _violation("aggregate", f"{name}: the aggregate {plural} is plural; use {fixed}")
                return
    known = ", ".join(services[service]) or "none yet"
    sentence = f"{name}: unknown aggregate of {service} (known: {known}); add it to services= of the class"
    yield _violation("aggregate", sentence)


def _words(name: str) -> str:
    return name.lower().removeprefix("domain_")


def _known_parts(words: str, services: Services) -> tuple[str, str] | None:
    """Return the longest known service, and its longest known aggregate, that `words` begin with."""
    pairs = [(service, aggregate) for service, aggregates in services.items() for aggregate in aggregates]
    matches = [pair for pair in pairs if words.startswith("_".join((*pair, "")))]
    return max(matches, key=lambda pair: tuple(map(len, pair)), default=None)


def _is_aggregate_alone(name: str, services: Services) -> bool:
    """Return whether a known aggregate of several words fills the place of aggregate and event name."""
    words = _words(name)
    complete = {f"{service}_{aggregate}" for service, aggregates in services.items() for aggregate in aggregates}
    return words in complete and _known_parts(words, services) is None


def _longest_prefix(words: str, services: Services) -> str | None:
    return max((service for service in services if words.startswith(f"{service}_")), key=len, default=None)


def _nearest_valid(name: str) -> str:
    """Return a name that follows the grammar and resembles `name`; missing parts become placeholders."""
    words = _split_words(name)
    words = words[1:] if words[:1] == ["DOMAIN"] else words
    missing = ("SERVICE", "AGGREGATE", "EVENT_NAME")[len(words) :]
    return "_".join(["DOMAIN", *words, *missing])


def _split_words(name: str) -> list[str]:
    """Split snake_case, camelCase and anything else into upper-case words; a number belongs to the word before it."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper()
    joined = re.sub(r"[^A-Z0-9]+(?=[0-9])", "", split)
    return [word for word in re.split(r"[^A-Z0-9]+", joined.lstrip("0123456789")) if word]
