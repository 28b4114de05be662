"""The front of stages, and what it is worth."""

from collections.abc import Iterable

from pruning import Stage
from search.front.cost import cost_of, costs_of
from search.front.dominance import on_front
from search.front.hypervolume import Scale
from search.front.names import CostName


def front(stages: Iterable[Stage], cost: CostName = "params") -> list[Stage]:
    """The stages that no other dominates, by ascending cost; ties by id."""
    all_stages = list(stages)
    mask = on_front(costs_of(all_stages, cost), [stage.val_accuracy for stage in all_stages])
    members = [stage for stage, member in zip(all_stages, mask, strict=True) if member]
    return sorted(members, key=lambda stage: (cost_of(stage, cost), stage.id))


def hypervolume(stages: Iterable[Stage], scale: Scale, cost: CostName = "params") -> float:
    """Hypervolume of some stages' validation accuracy over their cost; 0 of none."""
    members = list(stages)
    return scale.hypervolume(costs_of(members, cost), [stage.val_accuracy for stage in members])
