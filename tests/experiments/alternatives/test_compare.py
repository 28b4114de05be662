import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from data import DataSource
from experiments.alternatives import compare
from experiments.alternatives.arms import cut_rounds, scratch_rounds
from experiments.alternatives.bill import Bill
from experiments.alternatives.case import Candidate, Case
from experiments.alternatives.compare import ARMS, Comparison, candidate_rows, main
from experiments.alternatives.notebook_rounds import _round
from experiments.alternatives.random_channels import cut_at_random
from experiments.alternatives.report import table
from experiments.instruments.subset import open_subset
from experiments.rounds.bench import Bench
from pruning import evaluate, new_optimizer
from search.front.hypervolume import Scale

FEW = {"train_images": 48, "validation_images": 64}
ASKED = Comparison(root_epochs=1, budget=8, scratch_lr=(2e-3,), **FEW)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory, packs: Path) -> Path:
    return tmp_path_factory.mktemp("stages")


@pytest.fixture
def case(stages: Path, packs: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A real root, on few images."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    data = open_subset(DataSource(data="digits", image_size=16), **FEW)
    return Case.opened(data, ASKED.plan, seed=0, stages=stages)


def run(case: Case, arm: str) -> list[Candidate]:
    return list(ARMS[arm](case))


@pytest.mark.parametrize(
    ("arm", "networks", "first", "last"),
    [
        ("scratch", 8, 2, 9),
        ("scratch x3", 8, 4, 27),
        ("cut once", 8, 1, 9),
        ("random channels", 8, 1, 9),
        ("notebook", 2, 1, 6),
        ("notebook stale", 2, 1, 6),
    ],
)
def test_every_epoch_is_paid_and_the_root_where_there_is_one(
    case: Case, arm: str, networks: int, first: int, last: int
) -> None:
    made = run(case, arm)
    assert len(made) == networks
    assert (made[0].epochs, made[-1].epochs) == (first, last)
    assert [one.seconds for one in made] == sorted(one.seconds for one in made)
    assert all(one.test_accuracy is not None for one in made)


def test_the_search_pays_the_root_and_keeps_to_its_budget(case: Case) -> None:
    made = run(replace(case, plan=replace(case.plan, budget=25)), "search")
    assert made[0].epochs == 1
    assert 1 < made[-1].epochs <= 26
    assert made[-1].test_accuracy is not None


def test_alternatives_have_the_same_shapes(case: Case) -> None:
    shapes = [{one.params for one in run(case, arm)} for arm in ("scratch", "cut once")]
    assert shapes[0] == shapes[1] == {one.params for one in run(case, "random channels")}


def test_what_is_a_stage_is_not_trained_again(case: Case) -> None:
    """Not even its seconds are others."""
    assert run(case, "scratch") == run(case, "scratch")
    assert run(case, "search") == run(case, "search")
    assert run(case, "random channels") != run(case, "random channels")


def test_rounds_of_scratch_are_fresh_and_have_their_learning_rates(case: Case) -> None:
    lrs = [1e-3 * width for width in range(1, 9)]
    fresh = scratch_rounds(case, lrs, times=3)
    assert [one.lr for one in fresh] == lrs
    assert {one.start for one in fresh} == {"fresh"}
    assert sum(one.epochs for one in fresh) == 27
    cut = cut_rounds(case, (5e-4,))
    assert {(one.lr, one.start) for one in cut} == {(5e-4, "inherit")}
    assert sum(one.epochs for one in cut) == 8
    with pytest.raises(ValueError, match="give one learning rate, or 7; got 2"):
        cut_rounds(case, (1e-3, 2e-3))


def test_the_bill_starts_with_the_stage_that_is_the_root(case: Case) -> None:
    bill, root = Bill(case), case.rounds.root()
    assert bill.val_accuracy(bill.root) == root.val_accuracy
    with pytest.raises(ZeroDivisionError), bill.paying(3):
        _ = 1 // 0
    shown = bill.candidate(bill.root, root.channels, 0.5)
    assert (shown.epochs, shown.params, shown.val_accuracy) == (4, root.params, 0.5)
    assert shown.seconds > root.seconds


def test_random_channels_are_the_roots_and_are_not_its_best(case: Case) -> None:
    bench = Bench(
        data=case.runner.data,
        architecture=case.architecture,
        root=Bill(case).root,
        batch_size=32,
        seed=1,
    )
    group = case.architecture.groups()[5]
    root = bench.root.get_submodule(group.batch_norm).weight
    channels = case.architecture.channels_at(0.5)
    kept = cut_at_random(bench, channels).get_submodule(group.batch_norm).weight
    best = root.abs().sort(descending=True).values[: len(kept)]
    assert len(kept) == channels[group.block] < len(root)
    assert torch.isin(kept, root).all()
    assert kept.sum() < best.sum()


@pytest.mark.parametrize("stale", [False, True])
def test_a_stale_optimizer_trains_nothing(case: Case, stale: bool) -> None:
    bill = Bill(case)
    net = Bill(case).root
    optimizer = new_optimizer(bill.root if stale else net, lr=1e-3, weight_decay=0.01)
    before = {name: tensor.clone() for name, tensor in net.named_parameters()}
    accuracy, best = _round(case, bill, net, optimizer, torch.Generator().manual_seed(0))
    unchanged = [torch.equal(before[name], tensor) for name, tensor in net.named_parameters()]
    assert all(unchanged) if stale else not any(unchanged[:-1])
    validation = case.runner.data.validation
    assert evaluate(best, validation, case.runner.data.image_size).accuracy == accuracy


def test_rows_have_the_hypervolume_of_all_candidates_so_far() -> None:
    """The second was not looked at on test images; with it half the square is at .5."""
    scale = Scale(least_cost=100, root_cost=10_000, chance=0.0)
    candidates = [
        Candidate(
            epochs=epochs,
            seconds=1.0,
            params=params,
            val_accuracy=accuracy,
            test_accuracy=test,
            made_by="",
        )
        for epochs, params, accuracy, test in (
            (1, 10_000, 0.9, 0.8),
            (2, 1000, 0.5, None),
            (3, 5000, 0.4, 0.4),
        )
    ]
    rows = candidate_rows(candidates, scale)
    assert [row["epochs"] for row in rows] == [1, 3]
    assert [row["hypervolume"] for row in rows] == pytest.approx([0, 0.25])


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"arms": ("scratch", "luck")}, "got luck"),
        ({"budget": 7}, "budget must be at least 8"),
        ({"seeds": (99, 100)}, "seeds for tuning must be others"),
        ({"scratch_lr": (1e-3, 2e-3)}, "give one learning rate, or 8; got 2"),
        ({"cut_lr": ()}, "give one learning rate, or 7; got 0"),
    ],
)
def test_comparisons_that_cannot_be(wrong: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Comparison(**wrong)


@pytest.mark.slow
@pytest.mark.parametrize("tune", [False, True])
def test_from_the_command_line_to_the_table(
    tune: bool,
    tmp_path: Path,
    packs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(os.environ, "XDG_CACHE_HOME", str(packs))
    out = tmp_path / "alternatives.csv"
    images = ["--train-images", "48", "--validation-images", "64"]
    epochs = ["--root-epochs", "1", "--budget", "8", "--processes", "2"]
    seeds = ["--seeds", "0", "1", "--tune-seeds", "2"]
    folder = ["--stages", str(tmp_path / "stages"), "--out", str(out)]
    main([*images, *epochs, *seeds, *folder, *(["--tune"] if tune else [])])
    rows = pd.read_csv(out)
    printed = capfd.readouterr().out
    assert set(rows["seed"]) == ({2} if tune else {0, 1})
    if tune:
        assert len(rows) == 5 * (8 + 7)
        assert "--scratch-lr " in printed
    else:
        assert set(rows["arm"]) == set(compare.ARMS)
        assert len(list(table(rows))) > 40
