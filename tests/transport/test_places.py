"""The places of a server: turns in the order of coming, and places that are kept."""

from __future__ import annotations

import math

import pytest

from nodes.transport.limits import Limits
from nodes.transport.places import Places

PLENTY = math.inf


class Guest:
    """A connection, as far as it is given a place."""

    stalled_since = None
    held_bytes = 0
    proved = called = True

    def __init__(self, name: str, *, busy: bool = False, trusted: bool = False) -> None:
        self.name = name
        self.busy = busy
        self.trusted = trusted
        self.opened_at = self.since = 0.0
        self.said = ""

    def keep(self, now: float) -> None:
        self.opened_at = self.since = now
        self.said += "kept."

    def refuse(self, why: str) -> None:
        assert "connections are in use; try again" in why
        self.said += "refused."


class Hall:
    """Places whose guests have names."""

    def __init__(self, **limits: float) -> None:
        self.gone: list[str] = []
        self.guests: dict[str, Guest] = {}
        self.places: Places[Guest] = Places(
            Limits(**{"connections": 1, "tenure": 1.0, "turn": 5.0, **limits}),  # type: ignore[arg-type]
            lambda guest: self.gone.append(guest.name),
        )

    def come(self, name: str, now: float, *, most: float = PLENTY, **about: bool) -> None:
        guest = self.guests[name] = Guest(name, **about)
        self.places.admit(guest, now, most=most)

    @property
    def kept(self) -> list[str]:
        return sorted(guest.name for guest in self.places.kept)

    @property
    def waiting(self) -> list[str]:
        return [guest.name for guest in self.places.waiting]


def test_who_has_a_place_has_it_for_a_while_and_others_have_their_turns() -> None:
    hall = Hall()
    for name in "abc":
        hall.come(name, 0.0)
    assert (hall.kept, hall.waiting) == (["a"], ["b", "c"])
    hall.places.give_turns(0.9, most=PLENTY)
    assert hall.kept == ["a"]
    hall.places.give_turns(1.0, most=PLENTY)
    assert (hall.kept, hall.waiting, hall.gone) == (["b"], ["c"], ["a"])
    hall.come("a", 1.5)
    hall.places.give_turns(2.0, most=PLENTY)
    assert (hall.kept, hall.waiting) == (["c"], ["a"]), "who comes again is last"
    assert (hall.places.refused, hall.places.given_up) == (0, 2)


def test_who_is_busy_keeps_its_place_and_who_waits_too_long_is_told() -> None:
    hall = Hall()
    hall.come("a", 0.0, busy=True)
    hall.come("b", 1.0)
    hall.come("c", 2.0)
    hall.places.give_turns(5.9, most=PLENTY)
    assert hall.waiting == ["b", "c"]
    hall.places.give_turns(6.0, most=PLENTY)
    assert hall.waiting == ["c"]
    assert hall.guests["b"].said == "refused."
    hall.guests["a"].busy = False
    hall.places.give_turns(6.1, most=PLENTY)
    assert (hall.kept, hall.guests["c"].said) == (["c"], "kept.")


def test_those_for_whom_there_is_no_room_to_wait_are_told_at_once() -> None:
    hall = Hall(waiting=2, probation=2)
    hall.come("a", 0.0, busy=True)
    for name in "bcdefg":
        hall.come(name, 0.0)
    assert hall.waiting == ["b", "c"]
    assert [guest.name for guest in hall.places.told] == ["f", "g"]
    assert hall.gone == ["d", "e"], "the oldest goes for one more"
    assert (len(hall.places), hall.places.refused) == (5, 4)


@pytest.mark.parametrize("waiting", [0, 8])
def test_a_place_is_kept_for_who_turns_out_to_be_trusted(waiting: int) -> None:
    hall = Hall(waiting=waiting, trusted=1, probation_s=3.0)
    hall.come("busy", 0.0, busy=True)
    hall.come("operator", 0.0)
    hall.come("stranger", 0.0)
    hall.guests["operator"].trusted = True
    hall.places.look(0.1)
    assert hall.kept == ["busy", "operator"]
    assert hall.guests["stranger"].said == ("" if waiting else "refused.")
    hall.places.give_turns(5.0, most=PLENTY)
    hall.places.look(8.0)
    assert hall.gone == ["stranger"]
    assert hall.kept == ["busy", "operator"]


def test_no_more_are_kept_than_there_are_descriptors_for() -> None:
    hall = Hall(connections=512)
    for name in "abc":
        hall.come(name, 0.0, most=2)
    assert (hall.kept, hall.waiting) == (["a", "b"], ["c"])
    hall.places.give_turns(1.0, most=2)
    assert len(hall.kept) == 2
    assert "c" in hall.kept
    hall.come("d", 1.0, most=3)
    assert len(hall.kept) == 3
