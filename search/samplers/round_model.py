"""What a round will make of a network, learnt from the rounds that were run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.special import expit, logit

from pruning import Round
from search.samplers.utility import Utility

Array = NDArray[np.float64]

LOG_RATE, LOG_EPOCHS, LOG_LR, FRESH, GLOBAL = range(5)  # columns of rounds

_MARGIN = 0.04  # by which accuracies are drawn in from chance and from 1 for finite log-odds
_FEW_EPOCHS, _USUAL_EPOCHS, _MANY_EPOCHS = np.log2([5, 10.5, 40.5])
_USUAL_LR = -2.0
_USUAL_RATE = 0.6
_TREND = np.array([0.5, 0.3, 0.2, 0.2, 0.3, 0.3])  # deviations of slopes, of the smallest networks
_SIZE, _ODDS = 0.15, 1.0  # length scales, in scaled costs and in log-odds
_ROUND = np.array([2.0, 2.0, 0.5, 0.5, 1.0])  # length scales, in the order of a round's columns
_STRETCH = (0.7, 1.4)  # of all length scales
_NOISE = (0.15, 0.3, 0.6)  # standard deviation, relative to the signal's
_PRIOR_DEVIATION = 0.7  # of the smallest networks' log-odds
_PRIOR_WEIGHT = 6.0  # how many observations that is worth
_FARTHEST = 4.0  # departure that counts: one ruined network is not the rule
_LEAST_DEVIATION = 1e-9  # of utility, where all that is likely is clipped
_ABSCISSAS = np.array([-np.sqrt(3), 0, np.sqrt(3)])  # of three-point Gauss-Hermite quadrature
_WEIGHTS = np.array([1 / 6, 2 / 3, 1 / 6])  # of its points


@dataclass(frozen=True, slots=True)
class Beforehand:
    """What rounds are expected to leave before any was seen, and how certainly.

    Networks of size x allow an accuracy of 1 - exp(-(x / knee)^2), in log-odds more for each
    doubling of the epochs, of which the weights that a round keeps bring some along, so that a
    gentle one may be short; and less by the square of the decades by which its learning rate
    is not the best, which is the higher the smaller the network; but no more than the root has:
    near that accuracy a doubling counts much less. By what a network is better than its own size
    usually is, a gentle round's is better, too. What is left departs from all this widely where
    networks are small, and little where they are nearly as good as the root.

    Fitted to the rounds of two sets by experiments/samplers/expectation.py; see the end of
    experiments/alternatives/log.txt.

    Attributes:
        knee: Scaled cost below which networks lose.
        sharpness: With which the root's accuracy is a limit.
        doubled: Log-odds for a doubling of the epochs.
        best_lr: Learning rate that is the best for networks of scaled cost 0.
        cooling: Decades by which it is lower at scaled cost 1.
        off_lr: Log-odds lost a decade off the best learning rate, and by each decade farther off.
        carried: Epochs that weights bring along, if all are kept; else less in proportion.
        inherited: Share of the network's excess that a round of rate 1 keeps; others keep less in
            proportion.
        polished: Log-odds for a doubling of the epochs at the limit, too.
        steadied: Scaled cost over which departures become e times smaller.
        least_doubt: Share of the smallest networks' departures that those of all others exceed.
    """

    knee: float = 0.237
    sharpness: float = 1.333
    doubled: float = 0.542
    best_lr: float = 0.067
    cooling: float = 1.068
    off_lr: float = 1.357
    carried: float = 24.3
    inherited: float = 0.508
    polished: float = 0.024
    steadied: float = 0.137
    least_doubt: float = 0.064


BEFOREHAND = Beforehand()


def describe(rounds: Sequence[Round]) -> Array:
    """Rounds as the model sees them (n, 5), see `Rounds`."""
    described = np.empty((len(rounds), 5))
    described[:, LOG_RATE] = np.log2([one.rate for one in rounds])
    described[:, LOG_EPOCHS] = np.log2([one.epochs + 0.5 for one in rounds])
    described[:, LOG_LR] = np.log10([one.lr for one in rounds])
    described[:, FRESH] = [one.start == "fresh" for one in rounds]
    described[:, GLOBAL] = [one.allocation == "global" for one in rounds]
    return described


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds, each run on a network; arrays broadcast against each other.

    Attributes:
        x: Scaled costs that are left.
        described: What is done (..., 5): log2 of the rate, log2 of the epochs + 1/2, log10 of the
            learning rate, 1 if the round starts fresh, 1 if it is global.
        x_before: Scaled costs of the network before.
        y_before: Its scaled accuracy.
        root: Scaled accuracy of the root.
        before: What is expected of them before any was seen.
    """

    x: Array
    described: Array
    x_before: Array
    y_before: Array
    root: float
    before: Beforehand = BEFOREHAND

    def place(self) -> Array:
        """In units of length scales, (..., 2): what is left, apart from what is done."""
        columns = np.broadcast_arrays(self.x / _SIZE, self._excess() / _ODDS)
        return np.stack(columns, axis=-1)

    def trend(self) -> Array:
        """What the trend is linear in (..., 6), in units in which slopes deviate by 1."""
        trend: Array = np.stack(np.broadcast_arrays(1.0, *self._effects()), axis=-1) * _TREND
        return trend

    def expected(self) -> Array:
        """Log-odds that are left, before anything was seen."""
        size, *_, inherited = self._effects()
        trained = self._trained(self._kept(), np.exp2(self.described[..., LOG_EPOCHS]))
        best_lr = np.log10(self.before.best_lr) - self.before.cooling * self.x
        off = np.abs(self.described[..., LOG_LR] - best_lr)
        done = trained - self.before.off_lr * np.minimum(off**2, off)
        polish = self.before.polished * (self.described[..., LOG_EPOCHS] - _MANY_EPOCHS)
        odds: Array = self._capped(size + done) + polish + self.before.inherited * inherited
        return odds

    def doubt(self) -> Array:
        """How far log-odds depart from what is expected, in units of the smallest networks'."""
        least = self.before.least_doubt
        doubt: Array = least + (1 - least) * np.exp(-np.maximum(self.x, 0) / self.before.steadied)
        return doubt

    def _effects(self) -> tuple[Array, Array, Array, Array, Array]:
        done = self.described
        return (
            self._allowed(self.x),
            done[..., LOG_RATE],
            done[..., LOG_EPOCHS] - _FEW_EPOCHS,
            done[..., LOG_LR] - _USUAL_LR,
            self._kept() * self._excess(),
        )

    def _kept(self) -> Array:
        """Share of the channels that keep their weights."""
        kept: Array = np.exp2(self.described[..., LOG_RATE]) * (1 - self.described[..., FRESH])
        return kept

    def _trained(self, kept: Array | float, epochs: Array | float) -> Array:
        """Log-odds for epochs, with those that the kept weights bring along."""
        all_epochs = epochs + self.before.carried * kept
        trained: Array = self.before.doubled * (np.log2(all_epochs) - _FEW_EPOCHS)
        return trained

    def _excess(self) -> Array:
        """Log-odds by which networks are better than those of their sizes usually are."""
        usual = self._allowed(self.x_before) + self._trained(_USUAL_RATE, 2**_USUAL_EPOCHS)
        polish = self.before.polished * (_USUAL_EPOCHS - _MANY_EPOCHS)
        excess: Array = odds_of(self.y_before) - self._capped(usual) - polish
        return excess

    def _allowed(self, x: Array) -> Array:
        """Log-odds that sizes allow."""
        return odds_of(-np.expm1(-((np.maximum(x, 0) / self.before.knee) ** 2)))

    def _capped(self, odds: Array) -> Array:
        most = odds_of(np.array(self.root))
        sharpness = self.before.sharpness
        capped: Array = -np.logaddexp(-sharpness * odds, -sharpness * most) / sharpness
        return capped


@dataclass(frozen=True, slots=True)
class RoundModel:
    """A Gaussian process from a network and a round to the accuracy that is left.

    Accuracies are taken as log-odds, in which the effects of size and of training add up. The
    process is what is expected of any network whatever, a linear trend, and what departs from
    both smoothly: a function of the size that the round leaves, of the network's accuracy, and of
    the round. All departures, and noise, are the smaller the larger the network is. The length
    scales' common factor and the share of noise are those of the greatest marginal likelihood on a
    small grid; slopes have a Gaussian prior, and the signal's variance has an inverse gamma prior.

    Source: Rasmussen and Williams, "Gaussian processes for machine learning", 2006, algorithm
    2.1, sections 2.7 and 5.4.1.
    """

    seen: Rounds
    weights: Array
    stretch: float
    noise: float
    variance: float

    @classmethod
    def fit(cls, seen: Rounds, accuracies: Array) -> Self:
        """Learn from rounds.

        Args:
            seen: Arrays of (n,) and (n, 5).
            accuracies: Scaled ones of what they left (n,).
        """
        departures = (odds_of(accuracies) - seen.expected()) / seen.doubt()
        departures = np.clip(departures, -_FARTHEST, _FARTHEST)
        trend = seen.trend()
        place = np.column_stack((seen.place(), seen.described / _ROUND))
        alike, squared, count = trend @ trend.T, _squared_distances(place, place), len(place)
        best: tuple[float, Self] | None = None
        for stretch, noise in product(_STRETCH, _NOISE):
            kernel = np.exp(-0.5 * squared / stretch**2) + alike
            kernel[np.diag_indices(count)] += noise**2
            factor = cholesky(kernel, lower=True)
            weights = cho_solve((factor, True), departures)
            squares = _PRIOR_WEIGHT * _PRIOR_DEVIATION**2 + departures @ weights
            degrees = _PRIOR_WEIGHT + count
            evidence = -np.log(np.diag(factor)).sum() - 0.5 * degrees * np.log(squares)
            if best is None or evidence > best[0]:
                variance = squares / degrees
                model = cls(seen, weights, stretch, noise, variance)
                best = evidence, model
        assert best is not None
        return best[1]

    def expect(self, asked: Rounds, utility: Utility) -> tuple[Array, Array]:
        """What each of some rounds leaves of each of some networks, if the model is right.

        Args:
            asked: What is left (m, r), the same for rounds of one rate; the rounds (r, 5); and
                the networks (m, 1).
            utility: Of accuracies.

        Returns:
            Mean of the utility, and its standard deviation by noise alone: (m, r) each.
        """
        departures = asked.trend() @ (self.seen.trend().T @ self.weights)
        rates, rate_of = np.unique(asked.described[:, LOG_RATE], return_inverse=True)
        for rate in range(len(rates)):  # of whose rounds the kernel has two factors
            same = np.flatnonzero(rate_of == rate)
            some = replace(asked, x=asked.x[:, same], described=asked.described[same])
            near = self._alike(some.place()[:, 0], self.seen.place())
            alike = self._alike(some.described / _ROUND, self.seen.described / _ROUND)
            departures[:, same] += (near * self.weights) @ alike.T
        return _moments(*self._odds(asked, departures), utility)

    def expect_each(self, asked: Rounds, utility: Utility) -> Array:
        """Mean utility of what is left by single rounds: arrays of (n,) and (n, 5)."""
        return _moments(*self.odds_each(asked), utility)[0]

    def odds_each(self, asked: Rounds) -> tuple[Array, Array]:
        """Log-odds of what is left by single rounds, and their deviations by noise: (n,) each."""
        near = self._alike(asked.place(), self.seen.place())
        alike = self._alike(asked.described / _ROUND, self.seen.described / _ROUND)
        trend = asked.trend() @ (self.seen.trend().T @ self.weights)
        return self._odds(asked, trend + (near * alike) @ self.weights)

    def _alike(self, a: Array, b: Array) -> Array:
        alike: Array = np.exp(-0.5 * _squared_distances(a, b) / self.stretch**2)
        return alike

    def _odds(self, asked: Rounds, departures: Array) -> tuple[Array, Array]:
        doubt = np.broadcast_to(asked.doubt(), departures.shape)
        odds = asked.expected() + doubt * departures
        return odds, self.noise * np.sqrt(self.variance) * doubt


def odds_of(accuracy: Array) -> Array:
    """The log-odds of scaled accuracies."""
    odds: Array = logit(_MARGIN + (1 - 2 * _MARGIN) * np.clip(accuracy, 0, 1))
    return odds


def accuracy_of(odds: Array) -> Array:
    """The scaled accuracies of log-odds."""
    accuracy: Array = np.clip((expit(odds) - _MARGIN) / (1 - 2 * _MARGIN), 0, 1)
    return accuracy


def _moments(odds: Array, deviation: Array, utility: Utility) -> tuple[Array, Array]:
    """Mean and deviation of the utility of accuracies whose log-odds are Gaussian."""
    y = utility.of(accuracy_of(odds[..., None] + deviation[..., None] * _ABSCISSAS))
    mean = y @ _WEIGHTS
    deviation = np.sqrt(((y - mean[..., None]) ** 2) @ _WEIGHTS)
    return mean, np.maximum(deviation, _LEAST_DEVIATION)


def _squared_distances(a: Array, b: Array) -> Array:
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    distances: Array = np.maximum(squares, 0)
    return distances
