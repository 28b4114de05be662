"""The front of stages, and what it is worth."""

from collections.abc import Iterable

from pruning import Stage
from search.front.dominance import on_front
from search.front.hypervolume import Scale


def front(stages: Iterable[Stage]) -> list[Stage]:
    """The stages that no other dominates, by ascending parameters; ties by id."""
    all_stages = list(stages)
    mask = on_front(
        [stage.params for stage in all_stages], [stage.val_accuracy for stage in all_stages]
    )
    members = [stage for stage, member in zip(all_stages, mask, strict=True) if member]
    return sorted(members, key=lambda stage: (stage.params, stage.id))


def hypervolume(stages: Iterable[Stage], scale: Scale) -> float:
    """Hypervolume of some stages' validation accuracy over their parameters; 0 of none."""
    members = list(stages)
    return scale.hypervolume(
        [stage.params for stage in members], [stage.val_accuracy for stage in members]
    )
