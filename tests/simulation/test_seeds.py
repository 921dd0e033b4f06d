"""Seed after seed of trouble: no error while a healthy worker exists, and the books balance.

`ROLLCALL_SEEDS=5000` runs more of them, `ROLLCALL_SEED=17` that one alone, and
`ROLLCALL_SIMULATED=600` makes each last ten simulated minutes in place of five seconds.
"""

from __future__ import annotations

import functools
import os

import pytest

from nodes.errors import PoisonLookup
from tests.simulation.world import Lookup, Process, World

SEEDS = int(os.environ.get("ROLLCALL_SEEDS", "200"))
ONE = os.environ.get("ROLLCALL_SEED")
SECONDS = float(os.environ.get("ROLLCALL_SIMULATED", "5"))
"""Simulated seconds of a seed."""


class FaultInjector:
    """Makes trouble in a world at random, but leaves one worker alone at any time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random
        self.deadly: list[Lookup] = []
        world.after(self.random.uniform(0.5, 1.5), self.strike)

    def strike(self) -> None:
        """One piece of trouble, and the time of the next."""
        world, random = self.world, self.random
        there = [process for process in world.processes if process.alive]
        # To be spared, a worker must be known to the master as well.
        up = [p for p in there if p.healthy and p.registration is not None]
        spared = random.choice(up) if up else None
        victim = random.choice(there) if there else None
        choice = random.randrange(11)
        if choice == 0 and len(there) < 8:
            world.start(service=random.choice([0.001, 0.001, 0.02]))
        elif choice == 7 and random.random() < 0.3:
            world.jump(random.choice([0.3, 3.0, 3600.0]))
        elif choice == 9:
            self.hit_several([process for process in there if process is not spared])
        elif choice == 10 and not world.closed:
            self.deadly.append(world.ask_deadly())
        elif victim is not None and victim is not spared:
            self.hit(choice, victim)
        world.after(random.expovariate(1.5), self.strike)

    def hit_several(self, there: list[Process]) -> None:
        """Ends several at once, or nearly; they come back."""
        world, random = self.world, self.random
        victims = random.sample(there, random.randint(0, len(there)))
        world.kill_together(victims, within=random.choice([0.0, 0.0, 0.00005, 0.3, 1.0]))
        for _ in victims:
            world.after(random.expovariate(0.4), world.restart)

    def hit(self, choice: int, victim: Process) -> None:
        """Does something to that worker, or undoes it later."""
        world, random = self.world, self.random
        later = random.expovariate(0.4)
        if choice == 1:
            world.kill(victim)
            world.after(later, world.restart)
        elif choice in (2, 3):
            world.freeze(victim)
            world.after(later, lambda: world.thaw(victim))
        elif choice == 4:
            world.set_failing(victim, failing=True)
            world.after(later, lambda: world.set_failing(victim, failing=False))
        elif choice == 5:
            victim.service = 0.02
            world.after(later, lambda: setattr(victim, "service", 0.001))
        elif choice == 6:
            # Fit and unfit in turns, quicker than probes can tell.
            for turn in range(6):
                flap = world.thaw if turn % 2 else world.freeze
                world.after(0.3 * turn, functools.partial(flap, victim))
        elif choice == 8:
            world.leave(victim)
            world.after(later, world.restart)


@pytest.mark.parametrize("seed", [int(ONE)] if ONE else range(SEEDS))
def test_no_seed_breaks_the_promise(seed: int) -> None:
    world = World(seed)
    for _ in range(world.random.randint(2, 6)):
        world.start()
    world.run(0.1)
    for _ in range(world.random.randint(1, 8)):
        world.client(pause=0.03)
    faults = FaultInjector(world)
    world.run(SECONDS)
    assert faults.world.began > 50
    # At rest, nothing is left over.
    for process in world.processes:
        if process.frozen:
            world.thaw(process)
    world.rest()
    assert not world.lookups
    assert all(worker.in_flight == 0 for worker in world.registry)
    assert len(world.latencies) + len(world.errors) == world.began
    # Two, one more if others died in the same second, and one that it was hedged to before.
    assert all(len(lookup.victims) <= 4 for lookup in faults.deadly)


@pytest.mark.parametrize("seed", range(SEEDS // 20))
def test_a_deadly_lookup_is_stopped_after_the_second_death(seed: int) -> None:
    world = busy_world(seed)
    deadly = world.ask_deadly()
    world.rest()
    assert len(deadly.victims) == 2
    assert [type(error) for error in world.errors] == [PoisonLookup]


@pytest.mark.parametrize("seed", range(SEEDS // 20))
def test_no_lookup_is_blamed_for_workers_that_die_together(seed: int) -> None:
    world = busy_world(seed)
    for _ in range(4):
        world.kill_together(world.random.sample(world.alive(), 3), within=0.00005)
        for _ in range(3):
            world.after(0.05, world.restart)
        world.run(0.3)
    world.rest()
    assert world.errors == []


def busy_world(seed: int) -> World:
    """Four workers, and sixteen clients that ask without a pause."""
    world = World(seed)
    for _ in range(4):
        world.start()
    world.run(0.1)
    for _ in range(16):
        world.client()
    world.run(0.1)
    return world
