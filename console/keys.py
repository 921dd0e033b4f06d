"""Which keys do which command: as declared, or as the operator's settings file has it; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from textual.binding import Binding
from textual.keys import key_to_character

from console.commands import BY_NAME, CLUSTER_COMMANDS, COMMANDS, KEYS

NO_KEY = "no_key_for_"
"""What begins the name of a key that nobody has: a keymap moves only bindings that there are."""

CTRL_LETTERS = "abdefgklnorstuvwxy"
"""Those that reach a program with Ctrl as themselves, and are not put to another use: Ctrl-C and
Ctrl-Q quit, Ctrl-Z suspends, Ctrl-P is the palette, the rest are Tab, Enter and Backspace."""

POSSIBLE_KEYS = "a key is one character, f1 to f12, or ctrl+ and one of " + " ".join(CTRL_LETTERS)

SHORT_SIGNS = {"escape": "ESC", "space": "SPC", "tab": "TAB", "enter": "ENTER"}


class KeyRefused(ValueError):  # noqa: N818 - a finding, not a fault
    """A command cannot have a key. `command` is which, the text says why."""

    def __init__(self, command: str, why: str) -> None:
        super().__init__(why)
        self.command = command


class Keys(NamedTuple):
    """The keys of the commands.

    Attributes:
        moved: those of the commands that have others than they are declared with.
        read_only: whether there are none for commands that change the cluster.
    """

    moved: Mapping[str, Sequence[str]] = {}
    read_only: bool = False

    def of(self, name: str) -> Sequence[str]:
        """The keys of a command, as Textual calls them."""
        declared = BY_NAME[name].key
        return self.moved.get(name, [declared] if declared else [])

    def text(self, name: str) -> str:
        """The first of them as a person knows it, "" if there is none."""
        return next((key_sign(key) for key in self.of(name)), "")

    def typed(self, name: str) -> str:
        """What has the command done: its key, or that of the command that it takes back, which is
        the same key pressed again; or what is typed for it.
        """
        undone = next((one.name for one in CLUSTER_COMMANDS if one.undo is BY_NAME[name]), name)
        return self.text(name) or self.text(undone) or f":{name}"

    @property
    def lookups_come(self) -> str:
        """By which keys there are lookups."""
        return ", ".join(filter(None, (f"{self.typed('ask')} asks", self.traffic_comes)))

    @property
    def traffic_comes(self) -> str:
        """By which key there is traffic, "" for none."""
        return "" if self.read_only else f"{self.typed('traffic')} sends sample traffic"

    @property
    def used(self) -> frozenset[str]:
        """Every key that does a command."""
        return frozenset(key for command in COMMANDS for key in self.of(command.name))

    @property
    def keymap(self) -> dict[str, str]:
        """The same for `App.set_keymap`, by the ids of bindings."""
        return {name: ",".join(keys) or unbound(name) for name, keys in self.moved.items()}


DECLARED_KEYS = Keys()


def unbound(name: str) -> str:
    """The key, that nobody has, of a command without one."""
    return f"{NO_KEY}{name}"


def key_sign(key: str) -> str:
    """What is printed on a key, of its name."""
    if key in SHORT_SIGNS:
        return SHORT_SIGNS[key]
    if key.startswith("ctrl+"):
        return f"^{key.removeprefix('ctrl+').upper()}"
    return KEYS.get(key) or key_to_character(key) or key.upper()


def key_name(text: str) -> str:
    """The name of a key that a person wrote down. Raises `ValueError`: there is no such key."""
    if text == ",":
        return "comma"  # Textual separates keys by it
    if len(text) == 1 and text.isprintable() and not text.isspace():
        return next(iter(Binding.make_bindings([Binding(text, "")]))).key
    lower = text.lower()
    if lower in {f"f{number}" for number in range(1, 13)}:
        return lower
    head, _, letter = lower.partition("+")
    if head == "ctrl" and letter and letter in CTRL_LETTERS:
        return lower
    if head == "shift" and len(letter) == 1:
        raise ValueError(f"{text!r} comes as {letter.upper()!r}: write that")
    raise ValueError(f"{text[:40]!r} cannot be had; {POSSIBLE_KEYS}")


def move_keys(wanted: Mapping[str, Sequence[str]], fixed: Mapping[str, str]) -> Keys:
    """The keys of the commands, some of them moved.

    Args:
        wanted: the keys of commands, as a person wrote them; none for no key.
        fixed: the keys that do something else and cannot be moved, and what they do.

    Raises:
        KeyRefused: a key cannot be had, or has another use.
    """
    moved: dict[str, Sequence[str]] = {}
    for name, texts in wanted.items():
        keys = []
        for text in texts:
            try:
                key = key_name(text)
            except ValueError as error:
                raise KeyRefused(name, str(error)) from None
            if key in fixed and key != BY_NAME[name].key:
                raise KeyRefused(name, f"{text!r} has another use: {fixed[key]}")
            keys.append(key)
        moved[name] = tuple(dict.fromkeys(keys))
    keys_now = Keys(moved)
    for name in moved:
        for other in (command.name for command in COMMANDS if command.name != name):
            both = set(keys_now.of(name)) & set(keys_now.of(other))
            if both:
                sign = key_sign(min(both))
                raise KeyRefused(
                    name, f"{sign!r} is the key of {other}: give {other} another in [keys] as well"
                )
    return keys_now
