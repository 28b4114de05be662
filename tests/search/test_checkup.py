import shutil
from pathlib import Path

import pytest

from pruning import StageStore
from search.campaign.ledger import Ledger
from search.checking import main
from search.configuration import SearchConfig
from search.kept import to_record
from search.results.folder import ResultsFolder
from search.results.tables import candidates_csv, pareto_csv
from tests.command import snapshot
from tests.search.landscape import SPACE, grow, rounds


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A finished search of three trials."""
    folder = ResultsFolder(tmp_path / "search")
    config = SearchConfig(
        rates=SPACE.rates, epochs=SPACE.epochs, lrs=SPACE.lrs, max_rounds=SPACE.max_rounds
    )
    with folder.locked(resume=False):
        folder.write({"config": to_record(config)})
    ledger, store = Ledger(folder.ledger, SPACE), StageStore(folder.stages)
    for schedule in (rounds(0.5), rounds(0.5, 0.7), rounds(0.9)):
        trial = ledger.add(schedule)
        *_, last = grow(store, schedule, trial.number)
        ledger.complete(trial.number, val_accuracy=last.val_accuracy, cost=last.params)
    ledger.flush()
    folder.put("candidates.csv", candidates_csv(store))
    folder.put("pareto.csv", pareto_csv(store))
    return folder.path


def checked(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    code = main([str(folder), *flags])
    return code, capsys.readouterr().out


def stage_at(folder: Path, *rates: float) -> Path:
    store = StageStore(folder / "stages")
    (stage,) = [s for s in store if [r.rate for r in s.schedule] == list(rates)]
    return folder / "stages" / stage.id


def test_a_whole_search(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(whole)
    code, output = checked(whole, capsys)
    assert code == 0, output
    assert "4 networks whole, 3 trials" in output
    assert "All is whole." in output
    assert snapshot(whole) == before


def test_everything_that_can_be_wrong_is_said_and_nothing_changed(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ledger(whole / "study.db", SPACE).add(rounds(0.7))
    (stage_at(whole, 0.9) / "model.safetensors").write_bytes(b"other")
    shutil.rmtree(stage_at(whole, 0.5))
    (whole / "stages" / ".unfinished-abc").mkdir()
    (whole / ".unfinished-pareto.csv").write_text("sta")
    (whole / "pareto.csv").write_text("stage\n")
    before = snapshot(whole)
    code, output = checked(whole, capsys)
    assert code == 1
    for expected in (
        "damaged: ",
        "trial 0 has lost 1 networks",
        "trial 1 has lost 2 networks",
        "trial 2 has lost 1 networks",
        "trial 3 is unfinished: 1 networks to train",
        "whose parent",
        "superfluous: stages/.unfinished-abc",
        "superfluous: .unfinished-pareto.csv",
        "candidates.csv is not",
        "pareto.csv is not",
    ):
        assert expected in output
    assert snapshot(whole) == before


def test_mending_restores_what_can_be_derived(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (whole / "pareto.csv").unlink()
    (whole / "candidates.csv").write_text("")
    (whole / "stages" / ".unfinished-abc").mkdir()
    (stage_at(whole, 0.9) / "stage.json").write_bytes(b"{")
    code, output = checked(whole, capsys, "--mend")
    assert code == 1
    assert output.splitlines()[1:] == ["trial 2 has lost 1 networks", "1 finding(s)."]
    grow(StageStore(whole / "stages"), rounds(0.9), 2)
    assert checked(whole, capsys, "--mend")[0] == 0


def test_a_lost_ledger_is_said(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (whole / "study.db").unlink()
    code, output = checked(whole, capsys)
    assert code == 1
    assert "study.db is missing" in output


def test_what_is_no_search_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "holds no search" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_ledger_is_named_as_it_lies(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (whole / "study.db").write_bytes(b"not a database, but longer than a page's header " * 9)
    assert main([str(whole)]) == 2
    assert f"{whole / 'study.db'} cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("made", [[], ["stages"], ["stages", "study.db"]])
def test_a_search_that_ended_before_its_first_network_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: list[str]
) -> None:
    """As a kill leaves it, in the order in which its parts are made."""
    folder = ResultsFolder(tmp_path)
    folder.write({"config": to_record(SearchConfig())})
    if "stages" in made:
        folder.stages.mkdir()
    if "study.db" in made:
        Ledger(folder.ledger, SearchConfig().space())
    before = snapshot(tmp_path)
    code, output = checked(tmp_path, capsys)
    assert (code, output.splitlines()[-1]) == (0, "All is whole.")
    assert snapshot(tmp_path) == before


def test_lost_stages_are_said(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(whole / "stages")
    (whole / "study.db").unlink()
    code, output = checked(whole, capsys)
    assert code == 1
    assert "stages/ is missing" in output
