"""A search without training: stages whose accuracy is a formula."""

import hashlib
from typing import get_args

from models import student_channels
from pruning import Draft, Round, Schedule, Stage, StageStore, StudentArchitecture, width_mult
from search.campaign.campaign import Campaign
from search.campaign.ledger import Ledger, Trial
from search.front.cost import Pricing
from search.opening import scale_of
from search.samplers.by_name import sampler_maker
from search.samplers.names import SamplerName
from search.samplers.space import SearchSpace
from search.samplers.study import NewSampler, SamplerStudy

ARCHITECTURE = StudentArchitecture(channels=student_channels(), num_classes=10)
SPACE = SearchSpace(rates=(0.5, 0.7, 0.9), epochs=(1, 2), lrs=(1e-3, 3e-3), max_rounds=4)
PRICING = Pricing(name="params", architecture=ARCHITECTURE, image_size=32)
SCALE = scale_of(PRICING, ARCHITECTURE.num_classes)
SAMPLERS = get_args(SamplerName)
EPOCHS = 100
"""That are left to spend, where it does not matter how many."""


def draft(schedule: Schedule, accuracy: float | None = None) -> Draft:
    """A stage as training would make it, with an accuracy that grows with width and epochs."""

    def name(rounds: Schedule) -> str:
        return hashlib.sha256(repr(rounds).encode()).hexdigest()[:16]

    width = width_mult(schedule)
    channels = ARCHITECTURE.channels_at(width)
    spent = sum(round_.epochs for round_ in schedule)
    return Draft(
        id=name(schedule),
        parent=name(schedule[:-1]) if schedule else None,
        schedule=schedule,
        channels=channels,
        params=ARCHITECTURE.params(channels),
        macs=ARCHITECTURE.macs(channels, 32),
        size_bytes=1,
        val_loss=1.0,
        val_accuracy=1 - 0.5 / (1 + 9 * width + 0.1 * spent) if accuracy is None else accuracy,
        seconds=0.5,
        latency_ms=0.1 + width,
    )


def stage_of(schedule: Schedule, accuracy: float | None = None) -> Stage:
    """The stage that a draft becomes."""
    return Stage.accept(draft(schedule, accuracy), trial=0, executed_epochs=0, sha256="")


def study_of(*stages: Stage, space: SearchSpace = SPACE) -> SamplerStudy:
    """What samplers see of some stages."""
    study = SamplerStudy(space)
    for stage in stages:
        study.observe(stage)
    return study


def grow(store: StageStore, schedule: Schedule, trial: int = 0) -> list[Stage]:
    """Commit the stages of a schedule that are missing; returns those that were."""
    prefixes = [schedule[:length] for length in range(len(schedule) + 1)]
    return [
        store.commit(made, b"weights", trial=trial)
        for made in map(draft, prefixes)
        if made.id not in store
    ]


def run_trial(campaign: Campaign, store: StageStore, trial: Trial) -> None:
    """Run a trial to its end."""
    for stage in grow(store, trial.schedule, trial.number):
        campaign.accept(stage.id)
    campaign.end(trial.number)


def run_all(campaign: Campaign, store: StageStore) -> list[int]:
    """Run trials until none is handed out; returns their numbers."""
    numbers = []
    while (trial := campaign.next_trial()) is not None:
        run_trial(campaign, store, trial)
        numbers.append(trial.number)
    return numbers


def make_campaign(
    store: StageStore,
    ledger: Ledger,
    *,
    trials: int = 20,
    sampler: SamplerName = "stage-tree",
    new_sampler: NewSampler | None = None,
    ahead: int = 3,
    space: SearchSpace = SPACE,
    max_epochs: int | None = None,
    early_stop: bool = True,
    stop_when_flat: bool = False,
) -> Campaign:
    return Campaign(
        ledger=ledger,
        store=store,
        space=space,
        scale=SCALE,
        new_sampler=new_sampler or sampler_maker(sampler, space, SCALE, PRICING.at, seed=0),
        trials=trials,
        ahead=ahead,
        max_epochs=max_epochs,
        early_stop=early_stop,
        stop_when_flat=stop_when_flat,
    )


def rounds(*rates: float) -> Schedule:
    """A schedule of one-epoch rounds."""
    return tuple(Round(rate=rate, epochs=1, lr=1e-3) for rate in rates)
