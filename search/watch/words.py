"""Networks and rounds in words."""

from collections.abc import Iterator, Sequence

from pruning import Round, Schedule, Stage
from search.front.cost import cost_of, shown
from search.front.names import CostName


def describe_stage(stage: Stage, cost: CostName = "params") -> str:
    """A network in a few words: accuracy, cost and schedule."""
    price = shown(cost_of(stage, cost), cost)
    return f"accuracy {stage.val_accuracy:.4f} with {price} ({describe_schedule(stage.schedule)})"


def front_rows(members: Sequence[Stage], cost: CostName = "params") -> Iterator[str]:
    """A front as lines of a table, after one that heads it."""
    yield f"{'cost':>26}  validation  test    schedule (rate/epochs/lr of its rounds)"
    for stage in members:
        test = "-" if stage.test_accuracy is None else f"{stage.test_accuracy:.4f}"
        yield (
            f"{shown(cost_of(stage, cost), cost):>26}  {stage.val_accuracy:<10.4f}  {test:<6}  "
            f"{describe_schedule(stage.schedule)}"
        )


def describe_schedule(schedule: Schedule) -> str:
    """Rounds as rate/epochs/lr, and what is unusual of them."""
    return " ".join(map(_round, schedule)) or "the root"


def _round(round_: Round) -> str:
    unusual = {round_.allocation, round_.start} - {"uniform", "inherit"}
    return "/".join([f"{round_.rate:g}/{round_.epochs}/{round_.lr:g}", *sorted(unusual)])
