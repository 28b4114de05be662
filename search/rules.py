"""What the settings of a search must be, each by itself and one beside another."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from search.errors import RefusedError

if TYPE_CHECKING:
    from search.configuration import SearchConfig

MANY_TRIALS = 10**9
"""As good as no limit."""


class _Rule(NamedTuple):
    """What a flag must be, and whether it is; `value` is what was given."""

    flag: str
    value: Any
    rule: str
    holds: bool


def check_rules(config: "SearchConfig") -> None:
    """Check the settings of a search.

    Raises:
        RefusedError: One is not what it must be.
    """
    for rules in (_counts(config), _choices(config), _companions(config)):
        for flag, value, rule, holds in rules:
            if not holds:
                raise RefusedError(f"--{flag} must be {rule}, got {value}.")


def _counts(config: "SearchConfig") -> Iterator[_Rule]:
    for flag, value, least, most in (
        ("image-size", config.image_size, 16, 4096),
        ("batch-size", config.batch_size, 2, 2**20),
        ("root-epochs", config.root_epochs, 0, 10**6),
        ("gpus", config.gpus, 0, 10**5),
        ("trials-per-gpu", config.trials_per_gpu, 1, 100),
        ("workers", config.workers, 1, 10**5),
        ("trials", config.trials, 1, MANY_TRIALS),
        ("max-epochs", config.max_epochs, 1, 10**12),
        ("max-rounds", config.max_rounds, 1, 64),
        ("confirm", config.confirm, 0, 1000),
        ("round-to", config.round_to, 1, 1024),
        ("seed", config.seed, 0, 2**63 - 1),
    ):
        holds = value is None or least <= value <= most
        yield _Rule(flag, value, f"from {least} to {most}", holds)
    share = config.unaugmented
    yield _Rule("unaugmented", share, "from 0 to 1", share is None or 0 <= share <= 1)
    hours = config.max_hours
    yield _Rule("max-hours", hours, "above 0", hours is None or 0 < hours < math.inf)


def _choices(config: "SearchConfig") -> Iterator[_Rule]:
    """Of each round."""
    rates, epochs, starts = config.rates, config.epochs, config.starts
    lrs = config.learning_rates
    choices: tuple[tuple[str, tuple[object, ...], str, bool], ...] = (
        ("rates", rates, "numbers in (0, 1]", all(0 < rate <= 1 for rate in rates)),
        ("epochs", epochs, "numbers of at least 0", all(one >= 0 for one in epochs)),
        ("lrs", lrs, "numbers above 0", all(0 < lr < math.inf for lr in lrs)),
        ("allocations", config.allocations, "names", True),
        ("starts", starts, "names, inherit among them,", "inherit" in starts),
    )
    for flag, values, rule, holds in choices:
        shown = " ".join(map(str, values)) or "nothing"
        distinct = len(set(values)) == len(values) > 0
        yield _Rule(flag, shown, f"one or more distinct {rule}", holds and distinct)
    shortest, most = min(epochs, default=0), config.max_epochs
    enough = f"at least {shortest}, the shortest round of --epochs"
    yield _Rule("max-epochs", most, enough, most is None or most >= shortest)
    idle = 1 in rates and 0 in epochs
    without = "without 0 if --rates has 1 (such a round changes nothing)"
    yield _Rule("epochs", "both", without, not idle)


def _companions(config: "SearchConfig") -> Iterator[_Rule]:
    """Of the network, which allow some settings and not others."""
    whole = config.prune != "notebook" or config.model == "student"
    yield _Rule("prune", config.prune, "left out for another --model than student", whole)
    weights, published = config.weights, config.model.startswith(("torchvision:", "timm:"))
    for rule, holds in (
        ("left out beside --checkpoint", config.checkpoint is None),
        ("of a torchvision: or timm: --model; others' are given by --checkpoint", published),
    ):
        yield _Rule("weights", weights, rule, weights is None or holds)
    if isinstance(numbers := config.normalize, tuple):
        means = all(0 <= mean <= 1 for mean in numbers[:3])
        deviations = all(0 < std < math.inf for std in numbers[3:])
        rule = "means from 0 to 1, and deviations above 0, of RGB divided by 255"
        yield _Rule("normalize", " ".join(map(str, numbers)), rule, means and deviations)
