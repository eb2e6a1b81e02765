"""The grammar of channel names: `DOMAIN_{SERVICE}_{AGGREGATE}_{EVENT_NAME}`."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from domainstream.channel.english import is_past_tense, past_tense_of
from domainstream.channel.nouns import plurals_of, singular_of

Services = Mapping[str, Collection[str]]
"""The services there are and the aggregates of each, in lower case: `{"coding": ("optimization", "medical_stay")}`."""

_GRAMMAR: Final = re.compile(r"DOMAIN(_[A-Z][A-Z0-9]*){3,}")
_WORDS: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*")


NameRule = Literal["grammar", "value", "past tense", "service", "aggregate"]
"""What a rule about names is about."""


class Violation(str):
    """One sentence that says which rule a name breaks, with its fix behind `; `."""

    __slots__ = ("rule",)

    rule: NameRule
    """What the rule is about."""


class ChannelName(NamedTuple):
    """The parts of a channel's name, in lower case."""

    service: str
    """Who publishes it."""

    aggregate: str
    """What it happened to."""

    event_name: str
    """What happened."""


def parse_channel_name(name: str, services: Services | None) -> ChannelName:
    """Split a name that keeps the grammar.

    With `services`, the longest known service and aggregate that fit are taken. Without, or where nothing known fits,
    the first word is the service, the second the aggregate, and the rest says what happened.
    """
    words = name.lower().removeprefix("domain_")
    service, aggregate = _fit(words, services or {}) or _first_words(words, services or {})
    return ChannelName(service, aggregate, words.removeprefix(f"{service}_").removeprefix(f"{aggregate}_"))


def violations_of(name: str, value: str, services: Services | None) -> Iterator[Violation]:
    """Yield one sentence, with its fix, for each rule that a member of the channel enum breaks."""
    if not _GRAMMAR.fullmatch(name):
        sentence = f"{name}: expected DOMAIN_{{SERVICE}}_{{AGGREGATE}}_{{EVENT_NAME}}; type: {_in_grammar(name)}"
        yield _violation("grammar", sentence)
        return
    if value != name.lower():
        yield _violation("value", f"{name}: the value must be the name in lower case; type: {name} = {name.lower()!r}")
    if _lacks_event_name(name, services or {}):
        yield _violation("grammar", f"{name}: it does not say what happened; type, for example: {name}_CREATED")
        return
    yield from _unknown(name, services)
    parts = parse_channel_name(name, services)
    words = parts.event_name.upper().split("_")
    if not any(map(is_past_tense, words)):
        fixed = "_".join([*words[:-1], past_tense_of(words[-1])])
        sentence = f"{name}: {'_'.join(words)} is not in the past tense; type: {_joined(parts, fixed)}"
        yield _violation("past tense", sentence)


def services_violations(services: Services) -> Iterator[Violation]:
    """Yield one sentence, with its fix, for each service or aggregate whose own name breaks a rule."""
    for service, aggregates in services.items():
        if isinstance(aggregates, str):
            sentence = f"services: the aggregates of {service!r} must be a tuple; type: {service!r}: ({aggregates!r},)"
            yield _violation("aggregate", sentence)
            continue
        for name in (service, *aggregates):
            if not _WORDS.fullmatch(name):
                fixed = "_".join(_words_of(name)).lower()
                sentence = f"services: {name!r} must be lower-case words joined by _; type: {fixed!r}"
                yield _violation("service" if name == service else "aggregate", sentence)
        for aggregate in aggregates:
            if singular_of(aggregate) != aggregate:
                sentence = f"services: the aggregate {aggregate!r} is plural; type: {singular_of(aggregate)!r}"
                yield _violation("aggregate", sentence)


def _violation(rule: NameRule, sentence: str) -> Violation:
    violation = Violation(sentence)
    violation.rule = rule
    return violation


def _unknown(name: str, services: Services | None) -> Iterator[Violation]:
    words = name.lower().removeprefix("domain_")
    if services is None or _fit(words, services):
        return
    service = _longest_prefix(words, services)
    if service is None:
        known = ", ".join(services) or "none yet"
        sentence = f"{name}: no known service (known: {known}); add it to services= of the class"
        yield _violation("service", sentence)
        return
    rest = words.removeprefix(f"{service}_")
    if plural := _plural(rest, services[service]):
        fixed = f"{plural.singular}{rest.removeprefix(plural.plural)}"
        sentence = f"{name}: the aggregate {plural.plural} is plural; type: {f'domain_{service}_{fixed}'.upper()}"
        yield _violation("aggregate", sentence)
    else:
        known = ", ".join(services[service]) or "none yet"
        sentence = f"{name}: no known aggregate of {service} (known: {known}); add it to services= of the class"
        yield _violation("aggregate", sentence)


class _Plural(NamedTuple):
    plural: str
    singular: str


def _plural(words: str, aggregates: Collection[str]) -> _Plural | None:
    """Return the beginning of `words` that is the plural of a known aggregate, if there is one."""
    plurals = [_Plural(plural, aggregate) for aggregate in aggregates for plural in plurals_of(aggregate)]
    return next((one for one in plurals if words.startswith(f"{one.plural}_")), None)


def _fit(words: str, services: Services) -> tuple[str, str] | None:
    """Return the longest known service, and of it the longest known aggregate, that `words` begin with."""
    pairs = [(service, aggregate) for service, aggregates in services.items() for aggregate in aggregates]
    fits = [pair for pair in pairs if words.startswith("_".join((*pair, "")))]
    return max(fits, key=lambda pair: tuple(map(len, pair)), default=None)


def _first_words(words: str, services: Services) -> tuple[str, str]:
    service = _longest_prefix(words, services) or words.partition("_")[0]
    return service, words.removeprefix(f"{service}_").partition("_")[0]


def _lacks_event_name(name: str, services: Services) -> bool:
    words = name.lower().removeprefix("domain_")
    whole = {f"{service}_{aggregate}" for service, aggregates in services.items() for aggregate in aggregates}
    return words in whole and _fit(words, services) is None


def _longest_prefix(words: str, known: Collection[str]) -> str | None:
    return max((one for one in known if words.startswith(f"{one}_")), key=len, default=None)


def _in_grammar(name: str) -> str:
    words = _words_of(name)
    words = words[1:] if words[:1] == ["DOMAIN"] else words
    missing = ("SERVICE", "AGGREGATE", "EVENT_NAME")[len(words) :]
    return "_".join(["DOMAIN", *words, *missing])


def _words_of(name: str) -> list[str]:
    """Split snake_case, camelCase and anything else into upper-case words; a number belongs to the word before it."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper()
    joined = re.sub(r"[^A-Z0-9]+(?=[0-9])", "", split)
    return [word for word in re.split(r"[^A-Z0-9]+", joined.lstrip("0123456789")) if word]


def _joined(parts: ChannelName, event_name: str) -> str:
    return f"domain_{parts.service}_{parts.aggregate}_{event_name}".upper()
