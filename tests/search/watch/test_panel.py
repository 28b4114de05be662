import io
from dataclasses import replace

import pytest
from rich.console import Console

from pruning import StageStore
from search.campaign.campaign import Campaign
from search.campaign.ledger import Ledger
from search.watch.panel import panel
from search.watch.snapshot import Snapshot
from search.workers.store_actor import Activity
from tests.search.landscape import make_campaign, run_all, run_trial


@pytest.fixture
def campaign(store: StageStore, ledger: Ledger) -> Campaign:
    return make_campaign(store, ledger, trials=12, max_epochs=100)


def shown(snapshot: Snapshot, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(panel(snapshot))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def taken(campaign: Campaign, activities: dict[int, Activity] | None = None) -> Snapshot:
    progress = campaign.progress()
    return Snapshot.of(campaign, progress, activities or {}, share=0.25, seconds=60, left=180)


def test_a_panel_shows_where_a_search_stands(campaign: Campaign, store: StageStore) -> None:
    run_all(campaign, store)
    snapshot = taken(campaign, {3: Activity(round=2, epoch=1, epochs=4, accuracy=0.5)})
    text = shown(snapshot)
    assert "25%  1:00, about 3:00 left" in text
    assert "12/12 trials" in text
    assert f"hypervolume {campaign.progress().hypervolume:.4f}" in text
    assert "round 2, epoch 1/4, in training 0.500" in text
    marks = text.count("●")
    assert 1 < marks <= len(snapshot.members)
    for limit, stage in snapshot.best():
        assert f"≤ {limit:.0%} of the root" in text
        assert f"{stage.val_accuracy:.4f}" in text


def test_what_is_best_under_a_budget_is_the_best_that_fits(
    campaign: Campaign, store: StageStore
) -> None:
    run_all(campaign, store)
    snapshot = taken(campaign)
    root = snapshot.root
    assert root is not None
    found = dict(snapshot.best())
    for limit in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01):
        fitting = [stage for stage in store if stage.params <= limit * root.params]
        assert (limit in found) == bool(fitting)
        if fitting:
            assert found[limit].val_accuracy == max(one.val_accuracy for one in fitting)


def test_before_the_root_is_there_it_is_said_what_it_is_at(campaign: Campaign) -> None:
    assert taken(campaign).line() == "workers are starting | 1:00 | about 3:00 left"
    assert "The root is trained first. The workers are starting." in shown(taken(campaign))
    activity = {0: Activity(round=0, epoch=3, epochs=60, accuracy=0.71)}
    assert "root, epoch 3/60, in training 0.710" in taken(campaign, activity).line()
    text = shown(taken(campaign, activity))
    assert "root, epoch 3/60, in training 0.710" in text
    assert "starting" not in text
    assert "●" not in text


def test_a_search_of_one_network_has_a_plot(campaign: Campaign, store: StageStore) -> None:
    trial = campaign.next_trial()
    assert trial is not None
    run_trial(campaign, store, replace(trial, schedule=()))
    assert shown(taken(campaign)).count("●") == 1


@pytest.mark.parametrize("width", [40, 60, 200])
def test_a_panel_fits_every_width(campaign: Campaign, store: StageStore, width: int) -> None:
    run_all(campaign, store)
    many = {n: Activity(round=1, epoch=1, epochs=4, accuracy=0.5) for n in range(30)}
    text = shown(taken(campaign, many), width)
    assert max(map(len, text.splitlines())) <= width
    assert "and 22 more" in text


def test_shared_stages_save_epochs(campaign: Campaign, store: StageStore) -> None:
    run_all(campaign, store)
    asked = sum(stage.epochs for trial in campaign.ledger for stage in store.path(trial.schedule))
    snapshot = taken(campaign)
    assert snapshot.saved_epochs == asked - store.executed_epochs > 0
    assert f"(and {snapshot.saved_epochs} saved)" in snapshot.line()


def test_failures_are_shown_with_their_reasons(campaign: Campaign) -> None:
    trial = campaign.next_trial()
    assert trial is not None
    campaign.fail(trial.number, "diverged: at epoch 3")
    assert "1 failed: diverged: at epoch 3" in shown(taken(campaign))


def test_many_failures_leave_room_for_the_rest(campaign: Campaign) -> None:
    heights = []
    for number in range(5):
        trial = campaign.next_trial()
        assert trial is not None
        campaign.fail(trial.number, f"kind {number}: of {'many words ' * 30}")
        heights.append(len(shown(taken(campaign)).splitlines()))
    text = shown(taken(campaign))
    assert text.count("1 failed: kind") == 3
    assert "and 2 other failures" in text
    assert heights[3] == heights[4] == heights[2] + 1
