"""How networks are trained: everything but the data that shapes a stage's weights."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, TypeAlias

from pruning.importance import Importance

RECIPE_VERSION = 5
"""Raised whenever the same recipe would give other weights than before."""

RecipeName: TypeAlias = Literal["measured", "notebook"]
"""`measured`: what gave the best networks in `experiments/rounds/recipe.py`, at equal epochs.
`notebook`: the notebook's way, with the one repair that its optimizer is built for each round."""

_ROOT_LR = 4e-3
_STUDENT_ROOT_LR = 1.5e-2  # which others do not bear: experiments/alternatives/log.txt
_UNAUGMENTED = 0.5  # experiments/rounds/small_networks.py; figures in alternatives/log.txt
_LEAST_UNAUGMENTED = 5  # the same
_TRAINING_ON_LR = 1e-3  # what was learnt outlasts it: experiments/rounds/training_on.py


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Training settings that all stages of a search share.

    Attributes:
        batch_size: Images a step, at least 2, since batch norm needs two values a channel.
        weight_decay: Decoupled weight decay of AdamW.
        importance: The criterion by which channels are ranked.
        decay: Whether a round's learning rate falls linearly to 0, or stays.
        warm_up: Share of a training's steps over which its learning rate rises from 0.
        unaugmented: Share of a training's epochs, the last ones, whose images are not augmented.
        least_unaugmented: How many of these epochs there are at least, in trainings of so many.
        recalibrate: Whether a round ends with batch-norm statistics of unaugmented images.
        root_epochs: Epochs for which the root is trained.
        root_lr: Learning rate from which the root's falls linearly to 0, after the warm-up; higher
            of a StudentNet, lower where it is trained on from weights that it was given.

    Source: notebook, AdamW at 1e-3 with batches of 32; He et al., "Data augmentation revisited",
    arXiv:1909.09148, of the unaugmented last epochs.
    """

    batch_size: int = 32
    weight_decay: float = 0.01
    importance: Importance = "gamma"
    decay: bool = True
    warm_up: float = 0.1
    unaugmented: float = _UNAUGMENTED
    least_unaugmented: int = _LEAST_UNAUGMENTED
    recalibrate: bool = True
    root_epochs: int = 60
    root_lr: float = _ROOT_LR

    @classmethod
    def named(
        cls,
        name: RecipeName,
        *,
        batch_size: int,
        root_epochs: int,
        student: bool = False,
        trains_on: bool = False,
        unaugmented: float | None = None,
    ) -> Self:
        """A recipe by its name.

        `notebook` trains the root with its learning rate falling to 0, too, but without warm-up,
        at the rate of other networks, and on augmented images alone.

        Args:
            name: Which.
            batch_size: Images a step.
            root_epochs: Epochs of the root.
            student: Whether the root is a StudentNet.
            trains_on: Whether the root has learnt already, and is trained from there on.
            unaugmented: Share of the epochs, of short trainings, too; None is the recipe's usual
                one.
        """
        from_nothing = _STUDENT_ROOT_LR if student and name == "measured" else _ROOT_LR
        recipe = cls(
            batch_size=batch_size,
            importance="response" if student else "gamma",
            root_epochs=root_epochs,
            root_lr=_TRAINING_ON_LR if trains_on else from_nothing,
        )
        if name == "notebook":
            recipe = replace(
                recipe,
                importance="signed-gamma",
                decay=False,
                warm_up=0.0,
                unaugmented=0.0,
                least_unaugmented=0,
                recalibrate=False,
            )
        if unaugmented is None:
            return recipe
        return replace(recipe, unaugmented=unaugmented, least_unaugmented=0)

    def unaugmented_of(self, epochs: int) -> int:
        """How many of a training's epochs, the last ones, have images that are not augmented."""
        return max(self._shared_out(epochs), min(self.least_unaugmented, epochs))

    def to_json(self) -> dict[str, Any]:
        """The recipe and its version, as JSON values.

        There were searches before images could be left as they are: where all are augmented,
        or a short training's are, nothing is said of it.
        """
        record = {"version": RECIPE_VERSION, **asdict(self)}
        for name in ("unaugmented", "least_unaugmented"):
            if not record[name]:
                del record[name]
        return record

    def of_training(self, epochs: int) -> dict[str, Any]:
        """What shapes a training of so many epochs, as JSON values, for a stage's id.

        A training that is long enough for its share is the same under either rule, and so is its
        id.
        """
        alike = self.unaugmented_of(epochs) == self._shared_out(epochs)
        return (replace(self, least_unaugmented=0) if alike else self).to_json()

    def _shared_out(self, epochs: int) -> int:
        return int(self.unaugmented * epochs)
