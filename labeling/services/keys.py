"""The keys of the ranking page: what each does, which one a labeler has given it, and which it may not have.

The handler, the hints on buttons and the sheet of keys all read what `of` says. Keys have the names that browsers give
them in `KeyboardEvent.key`, a space is "Space", and letters are small.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
                "Shift+ArrowUp", "Shift+ArrowDown", *(f"F{n}" for n in (2, 4, 6, 7, 8, 9, 10)))  # fmt: skip
# Ranks and ratings, and what every page needs.
TAKEN: Final = {
    **{str(digit): "a rank" for digit in range(1, 10)},
    "ArrowUp": "the card before", "ArrowDown": "the card after", "Enter": "showing all of a card",
    "Tab": "the browser", "Escape": "closing what is open",
}  # fmt: skip
SIGNS: Final = {"ArrowUp": "↑", "ArrowDown": "↓", "Enter": "⏎", "Ctrl": "⌃", "Shift": "⇧", "Backspace": "⌫"}


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
