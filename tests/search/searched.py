"""Results folders of searches without training, for what looks at them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pruning import Schedule, StageStore
from search.configuration import SearchConfig
from search.front.stages import front
from search.kept import command_line, to_record
from search.results.folder import ResultsFolder
from search.results.page import Subject
from search.results.tables import candidates_csv, pareto_csv
from tests.search.landscape import SCALE, SPACE, grow, rounds

SCHEDULES = (
    rounds(0.5, 0.7, 0.9),
    rounds(0.5, 0.9),
    rounds(0.9, 0.9, 0.7, 0.5),
    rounds(0.7, 0.7),
    rounds(0.5, 0.5),
)
CLASSES = ["</script><script>alert(1)</script>", "<!-- <b>b</b>", "${class}"]


def searched(path: Path, *schedules: Schedule, fingerprint: str = "f", **settings: Any) -> Subject:
    """A search of some schedules that has ended: its front is tested, its tables are written."""
    folder = ResultsFolder(path)
    config = SearchConfig(
        rates=SPACE.rates,
        epochs=SPACE.epochs,
        lrs=SPACE.lrs,
        max_rounds=SPACE.max_rounds,
        **settings,
    )
    path.mkdir(parents=True)
    data = {"fingerprint": fingerprint, "classes": CLASSES, "images": {"training": 3}}
    folder.write({"config": to_record(config), "data": data, "scale": asdict(SCALE)})
    store = StageStore(folder.stages)
    for trial, schedule in enumerate(schedules):
        grow(store, schedule, trial)
    for stage in front(store, config.cost):
        store.set_test_accuracy(stage.id, stage.val_accuracy - 1 / 128)
    folder.put("candidates.csv", candidates_csv(store, config.cost))
    folder.put("pareto.csv", pareto_csv(store, config.cost))
    return Subject(folder=folder, store=store, cost=config.cost, command=command_line(config))
