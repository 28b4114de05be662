"""What all arms of a seed start from, and what they make."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from data import ImageData
from experiments.alternatives.widths import even_widths
from experiments.instruments.student_runner import student_architecture, student_runner
from experiments.samplers.simulated_search import Rounds
from pruning import Round, RoundRunner, Stage, StageStore, StudentArchitecture


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How much is trained, and with which settings.

    Attributes:
        root_epochs: Epochs of the root.
        budget: Epochs that an arm has beside the root's.
        narrowest: Width of the narrowest network that is trained on purpose.
        workers: Simulated workers of the search.
        scratch_lr: Learning rates of networks trained from nothing: one, or one a width.
        cut_lr: Of networks cut from the root: one, or one a width below the root's.
    """

    root_epochs: int
    budget: int
    narrowest: float
    workers: int
    scratch_lr: tuple[float, ...]
    cut_lr: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A network that an arm offers.

    Attributes:
        epochs: What the arm had trained when it was there, the root's included.
        seconds: What that took, training and validation, on one core.
        params: Its parameters.
        val_accuracy: On the validation split.
        test_accuracy: On the test split, where that was asked for.
        made_by: Its rounds, as rate x epochs @ learning rate.
    """

    epochs: int
    seconds: float
    params: int
    val_accuracy: float
    test_accuracy: float | None
    made_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A seed's root with what it takes to train networks beside it and from it.

    Attributes:
        seed: Of the root and of all arms.
        plan: How much is trained.
        architecture: Of the root.
        widths: Of the networks that are trained on purpose, ascending; the last is the root's.
        runner: Runs rounds.
        store: Has the stages, of this run and of earlier ones.
        rounds: Both together: each round is run once.
    """

    seed: int
    plan: Plan
    architecture: StudentArchitecture
    widths: tuple[float, ...]
    runner: RoundRunner
    store: StageStore
    rounds: Rounds

    @classmethod
    def opened(cls, data: ImageData, plan: Plan, *, seed: int, stages: Path) -> Self:
        """The case of a seed; its stages lie in a folder of their own in `stages`."""
        architecture = student_architecture(len(data.classes))
        runner = student_runner(data, seed=seed, root_epochs=plan.root_epochs)
        store = StageStore(stages / runner.origin.stage_id(None, None))
        return cls(
            seed=seed,
            plan=plan,
            architecture=architecture,
            widths=even_widths(architecture, narrowest=plan.narrowest),
            runner=runner,
            store=store,
            rounds=Rounds(runner, store),
        )

    def children(self, rounds: Sequence[Round]) -> Iterator[Stage | None]:
        """What each of some rounds makes of the root; None where it diverges."""
        root = self.rounds.root()
        return (self.rounds.child(root, round_) for round_ in rounds)


def shown(rounds: Sequence[Round]) -> str:
    """Rounds in short, such as `0.5x4@0.001 fresh 0.7x8@0.004`."""
    fresh = {"fresh": "fresh ", "inherit": ""}
    return " ".join(f"{fresh[one.start]}{one.rate:g}x{one.epochs}@{one.lr:g}" for one in rounds)
