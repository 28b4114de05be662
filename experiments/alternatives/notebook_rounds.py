"""The notebook's schedule, gone on with until the epochs are spent."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import torch
from torch import nn

from experiments.alternatives.bill import Bill, placed
from experiments.alternatives.case import Candidate, Case
from experiments.notebook import ROUND
from pruning import NonFiniteError, Recipe, new_optimizer, slim, train_epoch, width_mult


def notebook(case: Case, *, stale: bool = False) -> Iterator[Candidate]:
    """The root and a network a round; its networks are trained in every run.

    Args:
        case: Has the root.
        stale: Whether the optimizer is the notebook's, which is built once and trains nothing
            after the first cut, or one that is built for each round's network.

    Source: notebook, training loop.
    """
    bill = Bill(case)
    recipe = Recipe.named(
        "notebook",
        batch_size=case.runner.origin.recipe.batch_size,
        root_epochs=case.plan.root_epochs,
    )
    generator = torch.Generator().manual_seed(case.seed)
    net = bill.root
    architecture = replace(case.architecture, prune="notebook")
    once = new_optimizer(net, lr=ROUND.lr, weight_decay=recipe.weight_decay)
    yield bill.candidate(net, case.architecture.channels, bill.val_accuracy(net))
    with suppress(NonFiniteError):
        for done in range(1, case.plan.budget // ROUND.epochs + 1):
            rounds = (ROUND,) * done
            channels = architecture.channels_at(width_mult(rounds))
            with bill.paying(ROUND.epochs):
                net = placed(slim(net, architecture, channels, recipe.importance))
                optimizer = (
                    once
                    if stale
                    else new_optimizer(net, lr=ROUND.lr, weight_decay=recipe.weight_decay)
                )
                accuracy, best = _round(case, bill, net, optimizer, generator)
            yield bill.candidate(best, channels, accuracy, rounds)


def _round(
    case: Case,
    bill: Bill,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> tuple[float, nn.Module]:
    """Train a round's epochs; the best one's accuracy and network, which the notebook keeps."""
    accuracy, best = -1.0, net
    for _ in range(ROUND.epochs):
        train_epoch(
            net,
            case.runner.data,
            optimizer,
            batch_size=case.runner.origin.recipe.batch_size,
            generator=generator,
        )
        if (now := bill.val_accuracy(net)) > accuracy:
            accuracy, best = now, copy.deepcopy(net)
    return accuracy, best
