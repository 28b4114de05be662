import json
from dataclasses import replace
from pathlib import Path

import pytest

from pruning import Draft, Round, StageStore, StoreError

ROUND = Round(rate=0.5, epochs=2, lr=1e-3)
ROOT = Draft(
    id="00" * 8,
    parent=None,
    schedule=(),
    channels=(4, 2),
    params=10,
    macs=20,
    size_bytes=40,
    val_loss=0.5,
    val_accuracy=0.75,
    seconds=1.5,
)
CHILD = replace(ROOT, id="11" * 8, parent=ROOT.id, schedule=(ROUND,))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_committed_stage_is_found_by_id_and_by_place(folder: Path) -> None:
    store = StageStore(folder)
    root = store.commit(ROOT, b"root weights", trial=0)
    child = store.commit(CHILD, b"child weights", trial=0)
    for opened in (store, StageStore(folder)):
        assert opened.child(None, None) == opened[ROOT.id] == root
        assert opened.child(ROOT.id, ROUND) == opened[CHILD.id] == child
        assert opened.child(CHILD.id, ROUND) is None
        assert opened.weights(CHILD.id) == b"child weights"
        assert len(opened) == 2


def test_networks_of_one_shape_share_a_latency(folder: Path) -> None:
    latencies = {"a card": (2.0, 3.0), "another": (5.0, 7.0)}
    place = 0
    for device, measured in latencies.items():
        for latency in measured:
            place += 1
            draft = replace(
                CHILD,
                id=f"{place}" * 16,
                schedule=(replace(ROUND, epochs=place),),
                latency_ms=latency,
                latency_on=device,
            )
            stage = StageStore(folder).commit(draft, b"", trial=0)
            assert stage.latency_ms == latencies[device][0]
    wider = replace(CHILD, id="9" * 16, channels=(4, 3), latency_ms=3.0, latency_on="a card")
    assert StageStore(folder).commit(wider, b"", trial=0).latency_ms == 3.0


def test_a_path_ends_where_a_stage_is_missing(folder: Path) -> None:
    store = StageStore(folder)
    assert store.path((ROUND,)) == []
    root = store.commit(ROOT, b"root weights", trial=0)
    child = store.commit(CHILD, b"child weights", trial=0)
    assert store.path(()) == [root]
    assert store.path((ROUND, ROUND)) == [root, child]
    assert store.path((replace(ROUND, epochs=3), ROUND)) == [root]


def test_executed_epochs_count_what_was_accepted(folder: Path) -> None:
    assert StageStore(folder).commit(ROOT, b"r", trial=0).executed_epochs == 0
    assert StageStore(folder).commit(CHILD, b"c", trial=0).executed_epochs == 2
    again = replace(CHILD, id="22" * 8, parent=CHILD.id, schedule=(ROUND, ROUND))
    store = StageStore(folder)
    assert store.commit(again, b"g", trial=0).executed_epochs == 4
    assert store.commit(CHILD, b"another draw", trial=0).executed_epochs == 2
    assert store.executed_epochs == 4


def test_epochs_of_stages_that_were_set_aside_count(folder: Path) -> None:
    writer = StageStore(folder)
    writer.commit(ROOT, b"root", trial=0)
    writer.commit(CHILD, b"child", trial=0)
    reader = StageStore(folder)
    (folder / CHILD.id / "model.safetensors").write_bytes(b"another child")
    assert StageStore(folder, repair=True).executed_epochs == 2
    assert StageStore(folder).executed_epochs == 2
    assert StageStore(folder, repair=True).commit(CHILD, b"child", trial=1).executed_epochs == 4
    reader.rescan()
    assert reader[CHILD.id].executed_epochs == 4


def test_a_reader_forgets_what_the_writer_set_aside(folder: Path) -> None:
    writer = StageStore(folder)
    writer.commit(ROOT, b"root", trial=0)
    writer.commit(CHILD, b"child", trial=0)
    reader = StageStore(folder)
    writer.put_aside(CHILD.id, "damaged")
    reader.rescan()
    assert CHILD.id not in reader
    assert reader.child(ROOT.id, ROUND) is None
    assert reader.executed_epochs == 2


def test_the_first_commit_under_an_id_is_the_truth(folder: Path) -> None:
    store = StageStore(folder)
    first = store.commit(ROOT, b"first", trial=0)
    before = contents(folder)
    assert store.commit(replace(ROOT, val_accuracy=0.9), b"second", trial=1) == first
    assert contents(folder) == before


def test_a_stage_committed_by_another_is_adopted(folder: Path) -> None:
    reader, writer = StageStore(folder), StageStore(folder)
    writer.commit(ROOT, b"r", trial=0)
    assert ROOT.id not in reader
    assert reader.adopt(ROOT.id) == writer[ROOT.id]
    assert ROOT.id in reader


def test_what_was_not_completed_is_not_seen_and_is_cleared_away(folder: Path) -> None:
    StageStore(folder).commit(ROOT, b"r", trial=0)
    whole = contents(folder)
    torn = folder / f".unfinished-{CHILD.id}"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    (folder / ROOT.id / ".unfinished-stage.json").write_bytes(b"{")
    assert len(StageStore(folder)) == 1
    store = StageStore(folder, repair=True)
    assert len(store) == 1
    assert contents(folder) == whole
    assert store.commit(CHILD, b"whole", trial=0).id == CHILD.id


def test_what_an_earlier_writer_committed_meanwhile_stays(folder: Path) -> None:
    late, orphan = StageStore(folder), StageStore(folder)
    first = orphan.commit(ROOT, b"first", trial=0)
    assert late.commit(replace(ROOT, val_accuracy=0.9), b"second", trial=1) == first
    assert late.weights(ROOT.id) == b"first"


@pytest.mark.parametrize("name", ["stage.json", "model.safetensors"])
@pytest.mark.parametrize("damage", [None, b"", b"{}", b"no weights"])
def test_a_damaged_stage_is_set_aside_and_can_be_made_again(
    folder: Path, name: str, damage: bytes | None
) -> None:
    for times in (1, 2):
        store = StageStore(folder)
        store.commit(ROOT, b"root", trial=0)
        store.commit(CHILD, b"child", trial=0)
        path = folder / ROOT.id / name
        path.unlink() if damage is None else path.write_bytes(damage)
        repaired = StageStore(folder, repair=True)
        assert list(repaired.set_aside) == [ROOT.id]
        assert name in repaired.set_aside[ROOT.id]
        assert repaired.child(None, None) is None
        assert repaired.child(ROOT.id, ROUND) is not None
        assert len(list(folder.glob(".damaged-*"))) == times
        again = repaired.commit(ROOT, b"root", trial=3)
        assert repaired.child(None, None) == again
        assert not StageStore(folder, repair=True).set_aside


def test_one_flipped_bit_of_a_record_is_noticed(folder: Path) -> None:
    StageStore(folder).commit(ROOT, b"root", trial=0)
    path = folder / ROOT.id / "stage.json"
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        if json_or_none(flipped) != json.loads(content):
            with pytest.raises(StoreError, match=r"stage\.json"):
                StageStore(folder)


def json_or_none(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None


@pytest.mark.parametrize("name", ["../../escape", "..", "/etc", "abc", "A" * 16, ""])
def test_an_id_cannot_lead_outside_the_folder(folder: Path, name: str) -> None:
    store = StageStore(folder)
    with pytest.raises(StoreError, match="id"):
        store.adopt(name)
    with pytest.raises(StoreError, match="id"):
        replace(ROOT, id=name)
    with pytest.raises(StoreError, match="id"):
        replace(ROOT, parent=name)


def test_a_commit_over_an_unfinished_one_succeeds(folder: Path) -> None:
    store = StageStore(folder)
    torn = folder / f".unfinished-{ROOT.id}"
    torn.mkdir()
    (torn / "junk").write_bytes(b"junk")
    store.commit(ROOT, b"r", trial=0)
    assert sorted(contents(folder)) == [
        f"{ROOT.id}/model.safetensors",
        f"{ROOT.id}/stage.json",
    ]


@pytest.mark.parametrize("damage", [b"roo", b"rooT", b"", None])
def test_weights_that_are_not_what_was_committed_are_never_returned(
    folder: Path, damage: bytes | None
) -> None:
    store = StageStore(folder)
    store.commit(ROOT, b"root", trial=0)
    path = folder / ROOT.id / "model.safetensors"
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(StoreError, match=r"model\.safetensors"):
        store.weights(ROOT.id)


@pytest.mark.parametrize("record", [b"", b"{}", b"not json", b"\xff", b"[]"])
def test_a_damaged_record_is_an_error(folder: Path, record: bytes) -> None:
    StageStore(folder).commit(ROOT, b"root", trial=0)
    (folder / ROOT.id / "stage.json").write_bytes(record)
    with pytest.raises(StoreError, match=r"stage\.json"):
        StageStore(folder)


def test_a_stage_under_another_name_is_an_error(folder: Path) -> None:
    StageStore(folder).commit(ROOT, b"root", trial=0)
    (folder / ROOT.id).rename(folder / CHILD.id)
    with pytest.raises(StoreError, match="describes the stage"):
        StageStore(folder)


def test_test_accuracy_is_kept(folder: Path) -> None:
    store = StageStore(folder)
    store.commit(ROOT, b"root", trial=0)
    assert store[ROOT.id].test_accuracy is None
    store.set_test_accuracy(ROOT.id, 0.5)
    for opened in (store, StageStore(folder)):
        assert opened[ROOT.id].test_accuracy == 0.5
        assert opened.weights(ROOT.id) == b"root"
    record = json.loads((folder / ROOT.id / "stage.json").read_text())
    assert record["test_accuracy"] == 0.5
