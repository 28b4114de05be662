"""The samplers that a search can be asked to use, by name."""

import numpy as np
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from search.configuration import SamplerName
from search.front import Scale
from search.space import SearchSpace
from search.stage_tree import StageTreeSampler
from search.steady_nsga2 import SteadyNSGAIISampler

_POPULATION = 20  # Optuna's default of 50 would be random for most of a search


def make_sampler(
    name: SamplerName, space: SearchSpace, scale: Scale, *, seed: int, draw: int
) -> BaseSampler:
    """A sampler for one proposal.

    Samplers keep no state of their own: a new one is made for each proposal, from the seed and
    the number of the proposal, so a resumed search neither repeats draws nor depends on where
    it was interrupted.

    Args:
        name: Which sampler.
        space: The choices of the search.
        scale: The axes of the trade-off.
        seed: The search's seed.
        draw: Number of the proposal.
    """
    derived = int(np.random.SeedSequence((seed, draw)).generate_state(1)[0])
    match name:
        case "stage-tree":
            return StageTreeSampler(space, scale, seed=derived)
        case "tpe":
            return TPESampler(seed=derived)
        case "nsga2":
            return SteadyNSGAIISampler(population_size=_POPULATION, seed=derived)
        case "gp":
            return GPSampler(seed=derived)
        case "random":
            return RandomSampler(seed=derived)
