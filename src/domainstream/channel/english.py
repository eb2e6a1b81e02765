"""Tell whether an event's name speaks of something that has happened, and what to write if it does not."""

import re
from typing import Final

_TABLE: Final = """
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
"""Base form and past participle. A compound (OVERWRITE, REPAY, WITHHOLD) is found by its ending."""

_SIMPLE: Final = """
    ATE BECAME BEGAN BLEW BROKE BURNT CAME CHOSE DID DRANK DREAMT DREW DROVE FELL FLEW FORBADE FORGAVE FORGOT FROZE
    GAVE GREW HID KNEW LEARNT RAN RANG RODE ROSE SANG SANK SAW SHOOK SPILT STOLE SWAM SWORE THREW TOOK TORE WAS WENT
    WERE WOKE WORE WROTE
"""
"""Past forms that the table does not have."""

_ENDS_IN_ED: Final = """
    BED BLEED BREED CREED DEED EMBED EXCEED FEED GREED HATRED HUNDRED INDEED NEED PROCEED RED REED SACRED SEED SHRED
    SLED SPEED SUCCEED WEED
"""
"""Words on -ED that are not in the past tense."""

_IRREGULAR: Final = {base: form for base, _, form in (pair.partition(":") for pair in _TABLE.split())}
_PAST: Final = frozenset(_IRREGULAR.values()) | frozenset(_SIMPLE.split())
_NOT_PAST: Final = frozenset(_ENDS_IN_ED.split())
_PREFIXES: Final = ("RE", "UN", "OVER", "UNDER", "OUT", "MIS", "FORE", "UP", "WITH", "PRE")
_DOUBLES: Final = re.compile(r"[^AEIOU]+[AEIOU][BDGLMNPRTVZ]|\w+(MIT|FER|CUR|PEL)")
"""Verbs whose last letter is doubled: SHIP → SHIPPED, SUBMIT → SUBMITTED."""


def is_past_tense(word: str) -> bool:
    """Tell whether an upper-case word is a verb in the past: regular (-ED) or from the table of irregular ones."""
    stems = [word, *(word.removeprefix(prefix) for prefix in _PREFIXES)]
    if not _PAST.isdisjoint(stems):
        return True
    return word.endswith("ED") and word.isalpha() and len(word) > 3 and _NOT_PAST.isdisjoint(stems)


def past_tense_of(word: str) -> str:
    """Return the likely past tense of an upper-case word, for a suggestion: SEND → SENT, CREATING → CREATED.

    What has none in sight gets one: MP3 → MP3_HAPPENED.
    """
    past = _irregular(word) or _regular(_bases(word)[0])
    return past if is_past_tense(past) else f"{word}_HAPPENED"


def _irregular(word: str) -> str | None:
    for base in _bases(word):
        for prefix in ("", *_PREFIXES):
            if base.startswith(prefix) and base.removeprefix(prefix) in _IRREGULAR:
                return prefix + _IRREGULAR[base.removeprefix(prefix)]
    return None


def _bases(word: str) -> tuple[str, ...]:
    if word.endswith("ING") and len(word) > 5:
        return word[:-3], f"{word[:-3]}E", word[:-4]
    if word.endswith("S") and not word.endswith("SS"):
        return word[:-1], word
    return (word,)


def _regular(base: str) -> str:
    if base.endswith("E"):
        return f"{base}D"
    if base.endswith("Y") and base[-2:-1] not in "AEIOU":
        return f"{base[:-1]}IED"
    return f"{base}{base[-1:]}ED" if _DOUBLES.fullmatch(base) else f"{base}ED"
