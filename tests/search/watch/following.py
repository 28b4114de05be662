"""Campaigns without training that are followed, as the driver has them followed."""

import io
from pathlib import Path
from typing import TextIO

from pruning import StageStore
from search.campaign.campaign import Campaign
from search.campaign.ledger import Ledger
from search.console import Console
from search.results.folder import ResultsFolder
from search.results.writer import ResultsWriter
from search.watch.events import Events
from search.watch.observer import Desk, Observer
from tests.search.landscape import grow, make_campaign


def desk(folder: Path, store: StageStore, output: TextIO, events: Events | None = None) -> Desk:
    return Desk(
        results=ResultsWriter(ResultsFolder(folder), store, say=lambda _: None),
        console=Console(output),
        events=events or Events(),
    )


def follow(
    folder: Path, store: StageStore, ledger: Ledger, events: Events, *, trials: int
) -> Campaign:
    """Run a search until its ledger has so many trials; returns its campaign."""
    campaign = make_campaign(store, ledger, trials=trials)
    observer = Observer(campaign, desk(folder, store, io.StringIO(), events), dict)
    while (trial := campaign.next_trial()) is not None:
        for stage in grow(store, trial.schedule, trial.number):
            observer.on_stage(*campaign.accept(stage.id))
        campaign.end(trial.number)
    observer.finish()
    return campaign
