"""What is known of how far the accuracies of a front are luck."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from pruning import Stage, StageStore
from search.front.cost import costs_of
from search.front.dominance import on_front
from search.front.names import CostName
from search.front.stages import front


def luck(store: StageStore, cost: CostName = "params") -> Iterator[str]:
    """A line on test images, and one on repeats, as far as there are any."""
    members = front(store, cost)
    gaps = [
        stage.test_accuracy - stage.val_accuracy
        for stage in members
        if stage.test_accuracy is not None
    ]
    if gaps:
        yield (
            "The front was chosen by validation accuracy; on test images, which had no part in "
            f"that, accuracy differs by {fmean(gaps):+.3f} on average."
        )
    repeated = {
        stage_id: [repeat.val_accuracy for repeat in repeats]
        for stage_id, repeats in store.repeats.items()
    }
    changes = [
        fmean(repeated[stage.id]) - stage.val_accuracy for stage in members if stage.id in repeated
    ]
    if changes:
        staying = _staying(members, repeated, cost)
        yield (
            f"With other seeds, which had no part in it either, validation accuracy differs by "
            f"{fmean(changes):+.3f} on average; by these means {staying} of {len(members)} stay "
            "on the front."
        )


def _staying(
    members: Sequence[Stage], repeated: Mapping[str, Sequence[float]], cost: CostName
) -> int:
    """How many of a front stay on it by the mean accuracy of their repeats, if they have any."""
    accuracies = [fmean(repeated.get(stage.id, [stage.val_accuracy])) for stage in members]
    return int(on_front(costs_of(members, cost), accuracies).sum())
