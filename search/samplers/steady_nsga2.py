"""NSGA-II whose parents are chosen from every stage, not from a generation."""

from optuna.samplers import NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class SteadyNSGAIISampler(NSGAIISampler):
    """Optuna's NSGA-II in its steady-state form.

    Optuna's own counts generations by an attribute that it writes on its own trials, and so does
    not see rows that were added, such as the stages that a trial passes. Here every finished row
    is in the population from which non-dominated sorting and crowding distance choose the parents
    of the next child. While there are fewer rows than `population_size`, children are random.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002;
    steady state: Durillo et al., "On the effect of the steady-state selection scheme", 2009.
    """

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        """0, the random beginning, or 1."""
        return int(len(self.get_population(study, 0)) >= (self.population_size or 0))

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """All finished rows."""
        return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The best `population_size` of all finished rows; none in generation 0."""
        return self.select_parent(study, generation) if generation else []
