"""The arms whose networks are stages: our search, training from scratch, one cut from the root."""

from collections.abc import Iterator, Sequence

from experiments.alternatives.case import Candidate, Case, shown
from experiments.alternatives.widths import split_evenly
from experiments.instruments.student_runner import by_params
from experiments.samplers.simulated_search import Usage, simulate
from pruning import Round, Stage
from search.configuration import SearchConfig
from search.front.stages import front
from search.opening import scale_of
from search.samplers.by_name import sampler_maker


def search(case: Case) -> Iterator[Candidate]:
    """Our search with its default choices; on test images its front and its last network."""
    space = SearchConfig().space()
    pricing = by_params(case.architecture)
    scale = scale_of(pricing, case.architecture.num_classes)
    curve = simulate(
        case.rounds,
        space,
        scale,
        sampler_maker("stage-tree", space, scale, pricing.at, seed=case.seed),
        Usage(),
        budget=case.plan.budget,
        workers=case.plan.workers,
    )
    # The last one says what the whole search cost.
    tested = {stage.id for stage in (*front(curve.stages), curve.stages[-1])}
    seconds = 0.0
    for epochs, stage in zip(curve.epochs, curve.stages, strict=True):
        seconds += stage.seconds
        test = case.rounds.test_accuracy(stage) if stage.id in tested else None
        yield _candidate(stage, case.plan.root_epochs + epochs, seconds, test)


def scratch(case: Case, *, times: int = 1) -> Iterator[Candidate]:
    """Networks trained from nothing, together for as long as the root and the search.

    Args:
        case: The root is not used, and not paid.
        times: How many times as long.
    """
    yield from _trained(case, scratch_rounds(case, case.plan.scratch_lr, times=times), (0, 0.0))


def cut_once(case: Case) -> Iterator[Candidate]:
    """The root, and networks cut from it in one step and fine-tuned long."""
    root, epochs = case.rounds.root(), case.plan.root_epochs
    yield _candidate(root, epochs, root.seconds, case.rounds.test_accuracy(root))
    yield from _trained(case, cut_rounds(case, case.plan.cut_lr), (epochs, root.seconds))


def scratch_rounds(case: Case, lrs: Sequence[float], *, times: int = 1) -> list[Round]:
    """A round from nothing for each width, at one learning rate or one a width."""
    widths = case.widths
    shares = split_evenly(times * (case.plan.root_epochs + case.plan.budget), len(widths))
    return [
        Round(rate=width, epochs=epochs, lr=lr, start="fresh")
        for width, epochs, lr in zip(widths, shares, spread_out(lrs, len(widths)), strict=True)
    ]


def cut_rounds(case: Case, lrs: Sequence[float]) -> list[Round]:
    """A round from the root for each narrower width, at one learning rate or one a width."""
    widths = case.widths[:-1]
    shares = split_evenly(case.plan.budget, len(widths))
    return [
        Round(rate=width, epochs=epochs, lr=lr)
        for width, epochs, lr in zip(widths, shares, spread_out(lrs, len(widths)), strict=True)
    ]


def spread_out(lrs: Sequence[float], count: int) -> Sequence[float]:
    """One learning rate for each of so many networks, of one for all or of as many.

    Raises:
        ValueError: There are neither one nor as many.
    """
    if len(lrs) not in (1, count):
        raise ValueError(f"give one learning rate, or {count}; got {len(lrs)}")
    return lrs if len(lrs) == count else [*lrs] * count


def _trained(case: Case, rounds: Sequence[Round], spent: tuple[int, float]) -> Iterator[Candidate]:
    """What rounds make of the root, one after another; `spent` are epochs and seconds before."""
    epochs, seconds = spent
    for round_, stage in zip(rounds, case.children(rounds), strict=True):
        epochs += round_.epochs
        if stage is not None:
            seconds += stage.seconds
            yield _candidate(stage, epochs, seconds, case.rounds.test_accuracy(stage))


def _candidate(stage: Stage, epochs: int, seconds: float, test: float | None) -> Candidate:
    return Candidate(
        epochs=epochs,
        seconds=seconds,
        params=stage.params,
        val_accuracy=stage.val_accuracy,
        test_accuracy=test,
        made_by=shown(stage.schedule),
    )
