"""What the rounds with each choice brought."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from pruning import Round, Stage

KNOBS = {
    "rate": "share kept",
    "epochs": "epochs",
    "lr": "learning rate",
    "allocation": "allocation",
    "start": "start",
}
"""What is chosen for a round, and what people call it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What rounds with one choice brought.

    It is no experiment: the sampler chose where to try what.

    Attributes:
        knob: What was chosen, one of the names of `KNOBS`.
        value: The choice.
        rounds: How many rounds had it.
        leading: How many of these lie on a path from the root to a network of the front.
        epochs: That all of them took.
        change: Median of accuracy less the parent's; None where no parent is known.
    """

    knob: str
    value: float | str
    rounds: int
    leading: int
    epochs: int
    change: float | None


def choices(stages: Sequence[Stage], members: Iterable[Stage]) -> list[Choice]:
    """What each choice brought, of the knobs for which there were several.

    Args:
        stages: Of a search.
        members: Those on the front.
    """
    known = {stage.id: stage for stage in stages}
    leading = _paths(known, members)
    found = []
    for knob in KNOBS:
        by_value: dict[float | str, list[tuple[Stage, Round]]] = {}
        for stage in stages:
            if stage.schedule:
                last = stage.schedule[-1]
                by_value.setdefault(getattr(last, knob), []).append((stage, last))
        if len(by_value) > 1:
            found += [
                _choice(knob, value, by_value[value], known, leading) for value in sorted(by_value)
            ]
    return found


def _choice(
    knob: str,
    value: float | str,
    rounds: Sequence[tuple[Stage, Round]],
    known: dict[str, Stage],
    leading: set[str],
) -> Choice:
    changes = [
        stage.val_accuracy - known[stage.parent].val_accuracy
        for stage, _ in rounds
        if stage.parent in known
    ]
    return Choice(
        knob=knob,
        value=value,
        rounds=len(rounds),
        leading=sum(stage.id in leading for stage, _ in rounds),
        epochs=sum(round_.epochs for _, round_ in rounds),
        change=median(changes) if changes else None,
    )


def _paths(known: dict[str, Stage], members: Iterable[Stage]) -> set[str]:
    """Ids on the paths from the root to some stages."""
    found: set[str] = set()
    for member in members:
        stage: Stage | None = member
        while stage is not None and stage.id not in found:
            found.add(stage.id)
            stage = known.get(stage.parent) if stage.parent is not None else None
    return found
