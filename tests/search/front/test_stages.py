from pruning import Round, StageStore
from search.front.stages import front
from tests.search.landscape import draft, rounds


def test_front_is_sorted_and_keeps_ties(store: StageStore) -> None:
    for schedule, accuracy in (
        (rounds(), 0.9),
        (rounds(0.5), 0.8),
        (rounds(0.7), 0.7),
        (rounds(0.9), 0.85),
        ((Round(rate=0.5, epochs=2, lr=1e-3),), 0.8),
    ):
        store.commit(draft(schedule, accuracy), b"", trial=0)
    members = front(store)
    assert [stage.val_accuracy for stage in members] == [0.8, 0.8, 0.85, 0.9]
    assert [stage.params for stage in members] == sorted(stage.params for stage in members)
