"""What is known of how far the accuracies of a front are luck."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from pruning import Stage, StageStore
from search.front.dominance import on_front
from search.front.stages import front


def luck(store: StageStore) -> Iterator[str]:
    """A line on test images, and one on repeats, as far as there are any."""
    members = front(store)
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
        yield (
            f"With other seeds, which had no part in it either, validation accuracy differs by "
            f"{fmean(changes):+.3f} on average; by these means {_staying(members, repeated)} of "
            f"{len(members)} stay on the front."
        )


def _staying(members: Sequence[Stage], repeated: Mapping[str, Sequence[float]]) -> int:
    """How many of a front stay on it by the mean accuracy of their repeats, if they have any."""
    accuracies = [fmean(repeated.get(stage.id, [stage.val_accuracy])) for stage in members]
    return int(on_front([stage.params for stage in members], accuracies).sum())
