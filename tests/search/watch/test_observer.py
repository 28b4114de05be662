import io
import time
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import binom

from pruning import Stage, StageStore
from search.campaign.ledger import Ledger
from search.watch.expectation import Expectation
from search.watch.observer import Observer
from search.watch.words import describe_stage, front_rows
from tests.search.landscape import SPACE, draft, grow, make_campaign, rounds, run_trial
from tests.search.watch.following import desk


def test_a_line_on_a_network_tells_its_rounds_apart() -> None:
    first, second = rounds(0.5, 0.9)
    schedule = (first, replace(second, allocation="global"))
    stage = Stage.accept(draft(schedule, 0.75), trial=0, executed_epochs=0, sha256="")
    assert describe_stage(stage) == (
        f"accuracy 0.7500 with {stage.params:,} parameters (0.5/1/0.001 0.9/1/0.001/global)"
    )
    assert f"with {stage.macs:,} multiply-adds" in describe_stage(stage, "macs")


@pytest.mark.parametrize(
    ("max_epochs", "expected"),
    [
        (None, ("3/9 trials", "3 epochs", "1:00 left")),
        (4, ("3/9 trials", "3/4 epochs", "0:10 left")),
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["root there", "root trained"])
def test_the_time_left_is_that_of_the_budget_that_ends_first(
    tmp_path: Path,
    store: StageStore,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    before: bool,
    max_epochs: int | None,
    expected: tuple[str, ...],
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    if before:
        grow(store, ())
    space = replace(SPACE, epochs=(1,))
    campaign = make_campaign(store, ledger, trials=9, max_epochs=max_epochs, space=space)
    output = io.StringIO()
    observer = Observer(campaign, desk(tmp_path, store, output), dict)
    if not before:
        now = 600.0
        (root,) = grow(store, ())
        observer.on_stage(root, [root])
    for _ in range(3):
        trial = campaign.next_trial()
        assert trial is not None
        run_trial(campaign, store, trial)
    now += 30.0
    observer.show()
    assert all(part in output.getvalue() for part in expected)


@pytest.mark.parametrize("images", [50, 716, 3_000])
@pytest.mark.parametrize("guess", [0.1, 0.5])
def test_a_root_that_guesses_is_doubted(images: int, guess: float) -> None:
    """By the exact binomial distribution, and with no doubt of one that does not guess."""
    trained = Expectation(images=images, guess=guess, trained_elsewhere=False)
    doubted = [hits for hits in range(images + 1) if trained.doubt(hits / images) is not None]
    assert doubted == list(range(len(doubted)))
    assert 0.99 < binom.cdf(doubted[-1], images, guess) < 0.9999
    assert trained.doubt(0.98) is None


def test_more_is_expected_of_a_checkpoint() -> None:
    checkpoint = Expectation(images=716, guess=0.1, trained_elsewhere=True)
    here = replace(checkpoint, trained_elsewhere=False)
    assert here.doubt(0.25) is None
    assert checkpoint.doubt(0.25) == (
        "The root's accuracy on 716 validation images is 0.2500, where always naming the "
        "commonest class has 0.1000: usually the checkpoint has its classes in another order "
        "than --data, or was trained on images prepared otherwise than here (RGB divided by 255, "
        "then --normalize)."
    )
    assert checkpoint.doubt(0.3) is None


@pytest.mark.parametrize("expected", [0.2, 0.9])
def test_a_doubt_of_the_root_is_said_once(
    tmp_path: Path, store: StageStore, ledger: Ledger, expected: float
) -> None:
    output = io.StringIO()
    expectation = Expectation(images=5_000, guess=expected, trained_elsewhere=False)
    campaign = make_campaign(store, ledger)
    observer = Observer(campaign, desk(tmp_path, store, output), dict, expectation=expectation)
    root, narrow = grow(store, rounds(0.5))
    observer.on_stage(root, [replace(root, val_accuracy=0.5)])
    observer.on_stage(narrow, [narrow])
    doubts = [line for line in output.getvalue().splitlines() if "--root-epochs" in line]
    assert len(doubts) == (expected == 0.9)


def test_a_front_is_told_in_rows() -> None:
    stage = Stage.accept(draft(rounds(0.5, 0.9), 0.75), trial=0, executed_epochs=0, sha256="")
    head, tested, untested = front_rows([replace(stage, test_accuracy=0.7), stage])
    assert tested.split() == [
        f"{stage.params:,}", "parameters", "0.7500", "0.7000", "0.5/1/0.001", "0.9/1/0.001"
    ]  # fmt: skip
    assert untested.split()[3] == "-"
    for column in ("validation", "test", "schedule"):
        assert head.index(column) > 0
