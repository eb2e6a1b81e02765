"""The English that the rules for channel names need: past tense of verbs, singular and plural of nouns.

A dictionary would be a large dependency for two questions. Regular forms follow from endings, and the irregular words
that occur in event names fit on a page. A word that is missing here can be added to its table.
"""

import re
from collections.abc import Iterator
from typing import Final

_VERBS: Final = """
    ARISE:ARISEN AWAKE:AWOKEN BE:BEEN BEAR:BORNE BEAT:BEATEN BECOME:BECOME BEGIN:BEGUN BEND:BENT BET:BET BID:BID
    BIND:BOUND BITE:BITTEN BLEED:BLED BLOW:BLOWN BREAK:BROKEN BREED:BRED BRING:BROUGHT BUILD:BUILT BURST:BURST
    BUY:BOUGHT CAST:CAST CATCH:CAUGHT CHOOSE:CHOSEN COME:COME COST:COST CREEP:CREPT CUT:CUT DEAL:DEALT DIG:DUG DO:DONE
    DRAW:DRAWN DRINK:DRUNK DRIVE:DRIVEN EAT:EATEN FALL:FALLEN FEED:FED FEEL:FELT FIGHT:FOUGHT FIND:FOUND FLEE:FLED
    FLY:FLOWN FORBID:FORBIDDEN FORGET:FORGOTTEN FORGIVE:FORGIVEN FREEZE:FROZEN GET:GOT GIVE:GIVEN GO:GONE GRIND:GROUND
    GROW:GROWN HANG:HUNG HAVE:HAD HEAR:HEARD HIDE:HIDDEN HIT:HIT HOLD:HELD HURT:HURT KEEP:KEPT KNOW:KNOWN LAY:LAID
    LEAD:LED LEAVE:LEFT LEND:LENT LET:LET LIE:LAIN LIGHT:LIT LOSE:LOST MAKE:MADE MEAN:MEANT MEET:MET PAY:PAID
    PROVE:PROVEN PUT:PUT QUIT:QUIT READ:READ RESET:RESET RID:RID RIDE:RIDDEN RING:RUNG RISE:RISEN RUN:RUN SAY:SAID
    SEE:SEEN SEEK:SOUGHT SELL:SOLD SEND:SENT SET:SET SHAKE:SHAKEN SHED:SHED SHINE:SHONE SHOOT:SHOT SHOW:SHOWN
    SHRINK:SHRUNK SHUT:SHUT SING:SUNG SINK:SUNK SIT:SAT SLEEP:SLEPT SPEAK:SPOKEN SPEED:SPED SPEND:SPENT SPIN:SPUN
    SPLIT:SPLIT SPREAD:SPREAD STAND:STOOD STEAL:STOLEN STICK:STUCK STRIKE:STRUCK SWEAR:SWORN SWEEP:SWEPT SWIM:SWUM
    TAKE:TAKEN TEACH:TAUGHT TEAR:TORN TELL:TOLD THINK:THOUGHT THROW:THROWN UNDERSTAND:UNDERSTOOD UPSET:UPSET
    WAKE:WOKEN WEAR:WORN WIN:WON WIND:WOUND WRITE:WRITTEN BROADCAST:BROADCAST CLING:CLUNG OFFSET:OFFSET SLIDE:SLID
    STING:STUNG SWING:SWUNG
"""
"""Base form and past participle. Compounds (OVERWRITE, REPAY, WITHHOLD) are found by their ending."""

_SIMPLE: Final = """
    ATE BECAME BEGAN BLEW BROKE BURNT CAME CHOSE DID DRANK DREAMT DREW DROVE FELL FLEW FORBADE FORGAVE FORGOT FROZE
    GAVE GREW HID KNEW LEARNT RAN RANG RODE ROSE SANG SANK SAW SHOOK SPILT STOLE SWAM SWORE THREW TOOK TORE WAS WENT
    WERE WOKE WORE WROTE
"""
"""Past forms that `_VERBS` does not have."""

_ENDS_IN_ED: Final = """
    BED BLEED BREED CREED DEED EMBED EXCEED FEED GREED HATRED HUNDRED INDEED NEED PROCEED RED REED SACRED SEED SHRED
    SLED SPEED SUCCEED WEED
"""
"""Words that end in -ED and are not past forms."""

_NOUNS: Final = """
    analyses:analysis bonuses:bonus buses:bus caches:cache campuses:campus children:child cookies:cookie crises:crisis
    diagnoses:diagnosis indices:index matrices:matrix men:man movies:movie people:person statuses:status viruses:virus
    women:woman
"""
"""Plurals whose singular does not follow from their ending."""

_SINGULARS_ON_S: Final = """
    alias atlas aws bias canvas chaos gas ios lens means news pos saas series species
"""
"""Singulars that look like plurals."""


def _pairs(table: str) -> dict[str, str]:
    return {key: value for key, _, value in (pair.partition(":") for pair in table.split())}


_PARTICIPLES: Final = _pairs(_VERBS)
_PAST: Final = frozenset(_PARTICIPLES.values()) | frozenset(_SIMPLE.split())
_NOT_PAST: Final = frozenset(_ENDS_IN_ED.split())
_PREFIXES: Final = ("RE", "UN", "OVER", "UNDER", "OUT", "MIS", "FORE", "UP", "WITH", "PRE")
_IRREGULAR_PLURALS: Final = _pairs(_NOUNS)
_SINGULAR: Final = frozenset(_SINGULARS_ON_S.split())
_DOUBLES: Final = re.compile(r"[^AEIOU]+[AEIOU][BDGLMNPRTVZ]|\w+(MIT|FER|CUR|PEL)")
"""Verbs whose last letter is doubled: SHIP → SHIPPED, SUBMIT → SUBMITTED."""


def is_past_tense(word: str) -> bool:
    """Return whether an upper-case word is a past form: regular (-ED) or one of the irregular verbs."""
    stems = [word, *(word.removeprefix(prefix) for prefix in _PREFIXES)]
    if not _PAST.isdisjoint(stems):
        return True
    return word.endswith("ED") and word.isalpha() and len(word) > 3 and _NOT_PAST.isdisjoint(stems)


def past_tense_of(word: str) -> str:
    """Suggest the likely past tense of an upper-case word: SEND → SENT, CREATING → CREATED.

    A word that is not recognisable as a verb becomes one: MP3 → MP3_HAPPENED.
    """
    bases = _bases(word)
    for base in bases:
        for prefix in ("", *_PREFIXES):
            if base.startswith(prefix) and base.removeprefix(prefix) in _PARTICIPLES:
                return prefix + _PARTICIPLES[base.removeprefix(prefix)]
    past = _regular_past(bases[0])
    return past if is_past_tense(past) else f"{word}_HAPPENED"


def _bases(word: str) -> tuple[str, ...]:
    """Return the possible base forms of a verb: SENDING → SEND, SENDE, SEN; SENDS → SEND, SENDS."""
    if word.endswith("ING") and len(word) > 5:
        return word[:-3], f"{word[:-3]}E", word[:-4]
    if word.endswith("S") and not word.endswith("SS"):
        return word[:-1], word
    return (word,)


def _regular_past(base: str) -> str:
    if base.endswith("E"):
        return f"{base}D"
    if base.endswith("Y") and base[-2:-1] not in "AEIOU":
        return f"{base[:-1]}IED"
    return f"{base}{base[-1:]}ED" if _DOUBLES.fullmatch(base) else f"{base}ED"


def singular_of(noun: str) -> str:
    """Return the singular of a lower-case noun that looks plural, else the noun itself: stays → stay, status → status.

    In a compound, the last word counts: medical_stays → medical_stay.
    """
    front, separator, word = noun.rpartition("_")
    if word in _IRREGULAR_PLURALS:
        return f"{front}{separator}{_IRREGULAR_PLURALS[word]}"
    if not word.endswith("s") or word.endswith(("ss", "us", "is")) or word in _SINGULAR:
        return noun
    if set("aeiouy").isdisjoint(word):  # an acronym: sms, dns
        return noun
    if word.endswith("ies") and len(word) > 4:
        return f"{noun[:-3]}y"
    return noun[:-2] if word.endswith(("sses", "xes", "ches", "shes", "zzes")) else noun[:-1]


def plurals_of(noun: str) -> Iterator[str]:
    """Yield possible spellings of a lower-case noun's plural: status → statuss, statuses; analysis → analyses."""
    yield f"{noun}s"
    yield f"{noun}es"
    if noun.endswith("y"):
        yield f"{noun[:-1]}ies"
    front, separator, word = noun.rpartition("_")
    yield from (f"{front}{separator}{plural}" for plural, singular in _IRREGULAR_PLURALS.items() if singular == word)
