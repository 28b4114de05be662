from dataclasses import replace

from pruning import Schedule, StageStore
from search.results.luck import luck
from tests.search.landscape import draft, rounds


def commit(store: StageStore, schedule: Schedule, accuracy: float, replicate: int = 0) -> str:
    if replicate:
        schedule = (*schedule[:-1], replace(schedule[-1], replicate=replicate))
    return store.commit(draft(schedule, accuracy), b"", trial=0).id


def test_nothing_is_said_where_nothing_is_known(store: StageStore) -> None:
    commit(store, rounds(0.5), 0.5)
    assert list(luck(store)) == []


def test_the_front_is_measured_on_test_images_and_by_its_repeats(store: StageStore) -> None:
    ids = [
        commit(store, schedule, accuracy)
        for schedule, accuracy in (((), 0.9), (rounds(0.5), 0.8), (rounds(0.5, 0.5), 0.75))
    ]
    for stage_id, accuracy in zip(ids, (0.86, 0.78, 0.72), strict=True):
        store.set_test_accuracy(stage_id, accuracy)
    for replicate, accuracy in enumerate((0.65, 0.69), start=1):
        commit(store, rounds(0.5), accuracy, replicate)
    commit(store, rounds(0.5, 0.5), 0.73, 1)
    on_test, repeated = luck(store)
    assert "accuracy differs by -0.030 on average" in on_test
    # .67 for .80 and .73 for .75; and by these the middle one is dominated by the smallest.
    assert "validation accuracy differs by -0.075 on average" in repeated
    assert "2 of 3 stay on the front" in repeated
