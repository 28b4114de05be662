"""The samplers that a search can be asked to use, by name."""

from collections.abc import Callable

import numpy as np
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from search.front.hypervolume import Scale
from search.samplers.known_tree import KnownTree
from search.samplers.names import SamplerName
from search.samplers.space import SearchSpace
from search.samplers.stage_tree import StageTreeSampler
from search.samplers.steady_nsga2 import SteadyNSGAIISampler
from search.samplers.study import NewSampler

_POPULATION = 20  # Optuna's default of 50 would be random for most of a search


def sampler_maker(
    name: SamplerName,
    space: SearchSpace,
    scale: Scale,
    cost_at: Callable[[float], float],
    *,
    seed: int,
    together: int = 1,
) -> NewSampler:
    """What makes the samplers of a search, one for each proposal or for some together.

    Samplers keep no state that the study does not hold: each is made of the seed and the number
    of its proposal, so a resumed search neither repeats draws nor depends on where it was
    interrupted, but for proposals that the stage tree makes together.

    A stock sampler may ask for the same again, as long as what it is told stays the same: after a
    repeat the next proposal is random. The stage tree never asks for what is known.

    Args:
        name: Which sampler.
        space: The choices of the search.
        scale: The axes of the trade-off.
        cost_at: Tells the cost of the network at a width.
        seed: The search's seed.
        together: How many proposals the stage tree makes by what is known before the first of
            them.
    """
    tree = KnownTree(space, scale, cost_at)
    kept: list[BaseSampler] = []  # for the proposals to come

    def make(draw: int, *, after_repeat: bool = False) -> BaseSampler:
        derived = int(np.random.SeedSequence((seed, draw)).generate_state(1)[0])
        match name:
            case "stage-tree":
                if not kept:
                    kept.extend([StageTreeSampler(space, tree, seed=derived)] * together)
                return kept.pop()
            case _ if after_repeat:
                return RandomSampler(seed=derived)
            case "tpe":
                return TPESampler(seed=derived)
            case "nsga2":
                return SteadyNSGAIISampler(population_size=_POPULATION, seed=derived)
            case "gp":
                return GPSampler(seed=derived)
            case "random":
                return RandomSampler(seed=derived)

    return make
