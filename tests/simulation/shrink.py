"""A failing history made smaller, for whoever has to understand it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulation.history import History, Put, Step, Transform, Validate

SCHEDULES = 6
"""Schedules tried before a smaller history counts as harmless: with fewer steps the choices of the
one that failed mean something else."""


def shrink(history: History, fails: Callable[[History], bool]) -> History:
    """A history that fails too, of which no single step, fault or row can be left out.

    Args:
        history: One that fails.
        fails: Runs a history.
    """
    smaller = True
    while smaller:
        smaller = False
        for steps in _candidates(history.steps):
            found = _failing(replace(history, steps=steps), fails)
            if found is not None:
                history, smaller = found, True
                break
    return history


def _failing(history: History, fails: Callable[[History], bool]) -> History | None:
    calm = (history.calm, 0.98, 0.5)
    for number in range(SCHEDULES):
        schedule = history.schedule if number == 0 else number
        candidate = replace(history, schedule=schedule, calm=calm[number % len(calm)])
        if fails(candidate):
            return candidate
    return None


def _candidates(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    for at in reversed(range(len(steps))):
        yield _without(steps, at)
    for at, step in enumerate(steps):
        for simpler in _simpler(step):
            yield (*steps[:at], simpler, *steps[at + 1 :])


def _without(steps: tuple[Step, ...], at: int) -> tuple[Step, ...]:
    """Steps without one of them; without the workers of an upload that is left out."""
    rest = (*steps[:at], *steps[at + 1 :])
    if not isinstance(steps[at], Put):
        return rest
    gone = sum(isinstance(step, Put) for step in steps[:at])
    return tuple(
        replace(step, number=step.number - 1)
        if isinstance(step, Validate) and step.number > gone
        else step
        for step in rest
        if not (isinstance(step, Validate) and step.number == gone)
    )


def _simpler(step: Step) -> Iterator[Step]:
    match step:
        case Put(upload=upload):
            for number in range(len(upload.records)):
                records = (*upload.records[:number], *upload.records[number + 1 :])
                yield Put(upload=replace(upload, records=records))
        case Validate():
            if step.fault:
                yield replace(step, fault=None)
            if step.split_bytes:
                yield replace(step, split_bytes=0)
        case Transform():
            if step.fault:
                yield replace(step, fault=None)
            if step.planned or step.everything or step.first:
                yield Transform(fault=step.fault)
