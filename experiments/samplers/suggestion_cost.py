"""How long a proposal takes when a search has a hundred, a thousand, ten thousand stages.

    python -m experiments.samplers.suggestion_cost

Stages are made up: a tree that grows by random rounds, with an accuracy that falls with the width,
rises with the epochs, and has noise. Each proposal is asked of the study that a search keeps, and
answered by a stage, as in a search; the time is that of the proposal alone. The first one after a
resume reads the whole study, and is shown apart. One thread.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import optuna
import torch
import tyro

from experiments.instruments.hardware import hardware_line
from experiments.instruments.spread import Spread
from experiments.instruments.student_runner import by_params, student_architecture
from pruning import Draft, Schedule, Stage, StudentArchitecture, width_mult
from search.configuration import SearchConfig
from search.opening import scale_of
from search.samplers.by_name import sampler_maker
from search.samplers.names import SamplerName
from search.samplers.space import SearchSpace
from search.samplers.study import SamplerStudy

_EPOCHS = 300  # that are left to spend


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Time proposals."""

    sampler: SamplerName = "stage-tree"
    """What proposes."""
    stages: tuple[int, ...] = (100, 1_000, 10_000)
    """Stages that the study has."""
    proposals: int = 20
    """Proposals that are timed for each of these."""


def main() -> None:
    """Time proposals, and print their spread."""
    asked = tyro.cli(Cost)
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(hardware_line())
    for stages in asked.stages:
        first, others = _seconds(asked, stages)
        spread = Spread.of([1000 * seconds for seconds in others])
        print(
            f"{asked.sampler}, {stages} stages: median {spread.median:.0f} ms "
            f"[{spread.lower:.0f}, {spread.upper:.0f}], n = {spread.n}; "
            f"the first {1000 * first:.0f} ms",
            flush=True,
        )


def _seconds(asked: Cost, stages: int) -> tuple[float, list[float]]:
    architecture = student_architecture(10)
    pricing = by_params(architecture)
    scale = scale_of(pricing, architecture.num_classes)
    space = SearchConfig().space()
    random = np.random.default_rng(0)
    study = SamplerStudy(space)
    for schedule in _tree(space, stages, random):
        study.observe(_made_up(schedule, architecture, random))
    new_sampler = sampler_maker(asked.sampler, space, scale, pricing.at, seed=0)
    seconds = []
    for draw in range(asked.proposals + 1):
        start = time.perf_counter()
        row, schedule = study.propose(new_sampler(draw), _EPOCHS)
        seconds.append(time.perf_counter() - start)
        study.observe(_made_up(schedule, architecture, random))
        study.settle(row)
    return seconds[0], seconds[1:]


def _tree(space: SearchSpace, stages: int, random: np.random.Generator) -> Iterator[Schedule]:
    """Distinct schedules, each of them one round more than an earlier one."""
    rounds = space.rounds()
    known: dict[Schedule, None] = {(): None}
    schedules: list[Schedule] = [()]
    while len(schedules) < stages:
        parent = schedules[random.integers(len(schedules))]
        child = (*parent, rounds[random.integers(len(rounds))])
        if len(child) <= space.max_rounds and child not in known:
            known[child] = None
            schedules.append(child)
    yield from schedules


def _made_up(
    schedule: Schedule, architecture: StudentArchitecture, random: np.random.Generator
) -> Stage:
    width = width_mult(schedule)
    channels = architecture.channels_at(width)
    epochs = sum(round_.epochs for round_ in schedule)
    accuracy = 1 - 0.5 / (1 + 9 * width + 0.1 * epochs) + random.normal(scale=0.005)
    draft = Draft(
        id=_name(schedule),
        parent=_name(schedule[:-1]) if schedule else None,
        schedule=schedule,
        channels=channels,
        params=architecture.params(channels),
        macs=1,
        size_bytes=1,
        val_loss=0.0,
        val_accuracy=float(np.clip(accuracy, 0, 1)),
        seconds=0.0,
    )
    return Stage.accept(draft, trial=0, executed_epochs=0, sha256="")


def _name(schedule: Schedule) -> str:
    return hashlib.sha256(repr(schedule).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
