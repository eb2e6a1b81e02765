"""Tell whether an event's name speaks of something that has happened, and what to write if it does not."""

from typing import Final

_IRREGULAR: Final = dict(
    pair.split(":")
    for pair in """
    ARISE:ARISEN AWAKE:AWOKEN BEAR:BORNE BEAT:BEATEN BECOME:BECOME BEGIN:BEGUN BEND:BENT BID:BID BIND:BOUND BITE:BITTEN
    BLEED:BLED BLOW:BLOWN BREAK:BROKEN BREED:BRED BRING:BROUGHT BUILD:BUILT BURST:BURST BUY:BOUGHT CAST:CAST CATCH:CAUGHT
    CHOOSE:CHOSEN COME:COME COST:COST CREEP:CREPT CUT:CUT DEAL:DEALT DIG:DUG DO:DONE DRAW:DRAWN DRINK:DRUNK DRIVE:DRIVEN
    EAT:EATEN FALL:FALLEN FEED:FED FEEL:FELT FIGHT:FOUGHT FIND:FOUND FLEE:FLED FLY:FLOWN FORBID:FORBIDDEN FORGET:FORGOTTEN
    FORGIVE:FORGIVEN FREEZE:FROZEN GET:GOT GIVE:GIVEN GO:GONE GRIND:GROUND GROW:GROWN HANG:HUNG HAVE:HAD HEAR:HEARD
    HIDE:HIDDEN HIT:HIT HOLD:HELD HURT:HURT KEEP:KEPT KNOW:KNOWN LAY:LAID LEAD:LED LEAVE:LEFT LEND:LENT LET:LET LIE:LAIN
    LOSE:LOST MAKE:MADE MEAN:MEANT MEET:MET PAY:PAID PUT:PUT QUIT:QUIT READ:READ REBUILD:REBUILT REDO:REDONE RESET:RESET
    RESEND:RESENT RID:RID RIDE:RIDDEN RING:RUNG RISE:RISEN RUN:RUN SAY:SAID SEE:SEEN SEEK:SOUGHT SELL:SOLD SEND:SENT
    SET:SET SHAKE:SHAKEN SHED:SHED SHOOT:SHOT SHOW:SHOWN SHRINK:SHRUNK SHUT:SHUT SINK:SUNK SIT:SAT SLEEP:SLEPT SPEAK:SPOKEN
    SPEND:SPENT SPIN:SPUN SPLIT:SPLIT SPREAD:SPREAD STAND:STOOD STEAL:STOLEN STICK:STUCK STRIKE:STRUCK SWEAR:SWORN
    SWEEP:SWEPT TAKE:TAKEN TEACH:TAUGHT TEAR:TORN TELL:TOLD THINK:THOUGHT THROW:THROWN UNDERSTAND:UNDERSTOOD UNDO:UNDONE
    UPSET:UPSET WAKE:WOKEN WEAR:WORN WIN:WON WIND:WOUND WITHDRAW:WITHDRAWN WITHHOLD:WITHHELD WRITE:WRITTEN
    """.split()
)
"""Base form to past participle. A compound (OVERWRITE, REPAY, RESELL) is found by its ending."""

_PAST: Final = frozenset(_IRREGULAR.values()) | {"WAS", "WERE", "WENT", "BEGAN", "BROKE", "CHOSE", "FELL", "GAVE", "ROSE", "TOOK", "WROTE"}
_PREFIXES: Final = ("RE", "UN", "OVER", "UNDER", "OUT", "MIS", "FORE", "UP", "WITH", "PRE")
_NOT_PAST: Final = frozenset(
    "BED BLEED BREED EMBED EXCEED FEED GREED HUNDRED INDEED NEED PROCEED RED SEED SHED SPEED SUCCEED WEED".split()
) - {"SHED"}
_VOWELS: Final = "AEIOU"


def is_past_tense(word: str) -> bool:
    """Tell whether an upper-case word is a verb in the past: regular (-ED) or from the table of irregular ones."""
    if word in _PAST or any(word == prefix + past for prefix in _PREFIXES for past in _PAST):
        return True
    return word.endswith("ED") and len(word) > 3 and word not in _NOT_PAST


def past_tense_of(word: str) -> str:
    """Return the likely past tense of an upper-case word, for a suggestion: SEND → SENT, CREATING → CREATED."""
    for base in _bases(word):
        for prefix in ("", *_PREFIXES):
            if base.startswith(prefix) and base.removeprefix(prefix) in _IRREGULAR:
                return prefix + _IRREGULAR[base.removeprefix(prefix)]
    return _regular(_bases(word)[0])


def _bases(word: str) -> tuple[str, ...]:
    if word.endswith("ING") and len(word) > 5:
        return word[:-3], f"{word[:-3]}E", word[:-4]
    if word.endswith("S") and not word.endswith("SS"):
        return word[:-1], word
    return (word,)


def _regular(base: str) -> str:
    if base.endswith("E"):
        return f"{base}D"
    if base.endswith("Y") and base[-2:-1] not in _VOWELS:
        return f"{base[:-1]}IED"
    return f"{base}ED"
