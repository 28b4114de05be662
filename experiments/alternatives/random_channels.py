"""One cut from the root in which the channels that are kept are drawn at random."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import torch
from torch import nn

from experiments.alternatives.arms import cut_rounds
from experiments.alternatives.bill import Bill, placed
from experiments.alternatives.case import Candidate, Case
from experiments.rounds.bench import Bench
from experiments.rounds.criteria import CRITERIA
from pruning import NonFiniteError, fine_tune, keep_channels, recalibrate, transplant


def random_channels(case: Case) -> Iterator[Candidate]:
    """As `cut_once` in everything but the channels. Its networks are trained in every run."""
    recipe, data, bill = case.runner.origin.recipe, case.runner.data, Bill(case)
    bench = Bench(
        data=data,
        architecture=case.architecture,
        root=bill.root,
        batch_size=recipe.batch_size,
        seed=case.seed,
    )
    generator = torch.Generator().manual_seed(case.seed)
    yield bill.candidate(bill.root, case.architecture.channels, bill.val_accuracy(bill.root))
    for round_ in cut_rounds(case, case.plan.cut_lr):
        channels = case.architecture.channels_at(round_.rate)
        net = cut_at_random(bench, channels)
        with suppress(NonFiniteError):  # one that diverges is paid, and no candidate
            with bill.paying(round_.epochs):
                fine_tune(
                    net,
                    data,
                    epochs=round_.epochs,
                    lr=round_.lr,
                    batch_size=recipe.batch_size,
                    weight_decay=recipe.weight_decay,
                    generator=generator,
                    decay=recipe.decay,
                )
                recalibrate(net, data, generator=generator)
                accuracy = bill.val_accuracy(net)
            yield bill.candidate(net, channels, accuracy, (round_,))


def cut_at_random(bench: Bench, channels: Sequence[int]) -> nn.Module:
    """A network with random channels of the root, of each group as many as asked for.

    A seed's narrower networks have channels of its wider ones.
    """
    groups = bench.architecture.groups()
    scores = CRITERIA["random"](bench, bench.root)
    kept = keep_channels(scores, [channels[group.block] for group in groups])
    return placed(transplant(bench.root, bench.architecture.build(channels), groups, kept))
