"""The keys of the work pages: what each does, which one a labeler has given it, and which it may not have.

One choice holds on every page: what ties cards on the board ties the two sides of a comparison.

The handler, the hints on buttons and the sheet of keys all read what `of` says. Keys have the names that browsers give
them in `KeyboardEvent.key`, a space is "Space", and letters are small.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from labeling.models import User

ACTIONS: Final = {  # action: (key, what it does)
    "tie": ("=", "tie with the card above"),
    "previous": ("k", "go to the card before"),
    "next": ("j", "go to the card after"),
    "up": ("Shift+ArrowUp", "move the card a rank up"),
    "down": ("Shift+ArrowDown", "move the card a rank down"),
    "take_off": ("0", "take the card off the board"),
    "expand": ("Space", "show all of the card, or less"),
    "compare": ("c", "compare with another, side by side"),
    "guided": ("t", "two at a time"),
    "left": ("ArrowLeft", "of two, the left one is better"),
    "right": ("ArrowRight", "of two, the right one is better"),
    "flags": ("f", "flags and note"),
    "phase": ("r", "between rating and ranking"),
    "none": ("n", "none is acceptable, or both are bad"),
    "guidelines": ("g", "guidelines"),
    "skip": ("s", "skip"),
    "undo": ("Backspace", "undo"),
    "submit": ("Ctrl+Enter", "submit"),
    "help": ("?", "these keys"),
}
NAMED: Final = ("Space", "Backspace", "Delete", "Insert", "Home", "End", "PageUp", "PageDown", "Ctrl+Enter",
                "ArrowLeft", "ArrowRight", "Shift+ArrowUp", "Shift+ArrowDown",
                *(f"F{n}" for n in (2, 4, 6, 7, 8, 9, 10)))  # fmt: skip
# Ranks, ratings and labels, and what every page needs.
TAKEN: Final = {
    **{str(digit): "a rank" for digit in range(1, 10)},
    "ArrowUp": "the card before", "ArrowDown": "the card after",
    "Enter": "showing all of a card and sending a comparison",
    "Tab": "the browser", "Escape": "closing what is open",
}  # fmt: skip
SIGNS: Final = {"ArrowUp": "↑", "ArrowDown": "↓", "ArrowLeft": "←", "ArrowRight": "→", "Enter": "⏎", "Ctrl": "⌃",
                "Shift": "⇧", "Backspace": "⌫"}  # fmt: skip

EVERYWHERE: Final = {"guidelines": "", "skip": "", "submit": "", "help": ""}
# Page → its actions, with what they do there where that has other words than on the board.
PAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "rank": dict.fromkeys(ACTIONS, ""),
    "compare": {
        "left": "the left one is better", "right": "the right one is better", "tie": "they tie",
        "none": "both are bad", "flags": "flags and notes", "compare": "mark what differs", **EVERYWHERE,
    },
    "annotate": {"none": "none of these holds", **EVERYWHERE},
    "write": EVERYWHERE,
}  # fmt: skip
LOOKING: Final = {"previous", "next", "expand", "compare", "guidelines", "help"}
# What is left of a page's keys where an answer is changed, and where it can only be looked at.
MODES: Final[Mapping[str, Callable[[str], bool]]] = {
    "": lambda action: True,
    "again": lambda action: action != "skip",
    "read": lambda action: action in LOOKING,
}
LABEL_KEYS: Final = "123456789abcdefghijklmnopqrstuvwxyz"


class KeysError(Exception):
    """Keys that cannot be as asked for. `errors`: action → why."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__(" ".join(self.errors.values()))


@dataclass(frozen=True)
class Key:
    """One action's key, and how it reads in a hint, in words and to a screen reader."""

    action: str
    key: str
    does: str
    is_own: bool

    @property
    def parts(self) -> list[str]:
        return [part.upper() if len(part) == 1 else part.replace("Arrow", "") for part in _split(self.key)]

    @property
    def sign(self) -> str:
        return "".join(SIGNS.get(part, part.upper() if len(part) == 1 else part) for part in _split(self.key))

    @property
    def aria(self) -> str:
        return {"+": "Plus"}.get(self.key) or self.key.replace("Ctrl", "Control")


def of(user: User) -> dict[str, Key]:
    """Every action with the key that this person has for it."""
    own = user.keys if isinstance(user.keys, dict) else {}
    return {
        action: Key(action, own.get(action, default), does, is_own=action in own)
        for action, (default, does) in ACTIONS.items()
    }


def on_page(user: User, page: str, mode: str = "") -> dict[str, Key]:
    """Those of a page, in its words."""
    own = of(user)
    return {
        action: replace(own[action], does=does or own[action].does)
        for action, does in PAGES[page].items()
        if MODES[mode](action)
    }


def for_labels(num: int, *, besides: Mapping[str, Key]) -> list[str]:
    """A key for each label of a prompt: digits, then letters that do nothing else there; "" when they run out."""
    taken = {key.key for key in besides.values()}
    return [*(key for key in LABEL_KEYS if key not in taken), *[""] * num][:num]


def save(*, user: User, keys: Mapping[str, str]) -> None:
    """Keep what differs from the defaults; an empty key is the default. Raises KeysError and changes nothing."""
    wanted = {action: clean(keys.get(action, "")) or default for action, (default, _) in ACTIONS.items()}
    if errors := _conflicts(wanted):
        raise KeysError(errors)
    user.keys = {action: key for action, key in wanted.items() if key != ACTIONS[action][0]}
    user.save(update_fields=["keys"])


def reset(*, user: User) -> None:
    user.keys = {}
    user.save(update_fields=["keys"])


def clean(text: str) -> str:
    """The name of a key as people type it: one character, or its name in any case."""
    text = "Space" if text == " " else text.strip().replace("Control", "Ctrl")
    return text.lower() if len(text) == 1 else {name.lower(): name for name in NAMED}.get(text.lower(), text)


def _conflicts(wanted: Mapping[str, str]) -> dict[str, str]:
    errors = {}
    for action, key in wanted.items():
        others = [ACTIONS[other][1] for other, taken in wanted.items() if taken == key and other != action]
        if key in TAKEN:
            errors[action] = f"“{key}” is for {TAKEN[key]} and stays so."
        elif len(key) != 1 and key not in NAMED:
            errors[action] = f"“{key}” is no key to be used. Give one character, or one of {', '.join(NAMED[:8])}."
        elif len(key) == 1 and not key.isprintable():
            errors[action] = "This is no character that a key writes."
        elif others:
            errors[action] = f"“{key}” is used for “{others[0]}” too. Give one of the two another key."
    return errors


def _split(key: str) -> list[str]:
    return [key] if len(key) == 1 else key.split("+")
