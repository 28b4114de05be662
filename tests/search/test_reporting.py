from pathlib import Path

import pytest

from search.reporting import main
from search.results.folder import ResultsFolder
from tests.command import snapshot
from tests.search.searched import SCHEDULES, searched


def test_a_page_is_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = searched(tmp_path / "out", *SCHEDULES).folder.path
    assert main([str(out)]) == 0
    assert f"The page is {out / 'report.html'}" in capsys.readouterr().out
    assert (out / "pareto.png").exists()


def test_a_page_of_several_can_lie_elsewhere(tmp_path: Path) -> None:
    paths = [
        searched(tmp_path / name, *SCHEDULES[:count]).folder.path
        for name, count in (("a", 1), ("b", 2))
    ]
    before = [snapshot(path) for path in paths]
    assert main([*map(str, paths), "--out", str(tmp_path / "new" / "page")]) == 0
    assert [snapshot(path) for path in paths] == before
    names = sorted(path.name for path in (tmp_path / "new" / "page").iterdir())
    assert names == ["pareto.png", "report.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give a results folder"),
        (("nowhere",), "holds no search"),
        (("out", "other"), "has other images"),
        (("out", "--out", "out/search.json"), "File exists"),
    ],
)
def test_refusals(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    searched(tmp_path / "out", *SCHEDULES[:1])
    searched(tmp_path / "other", fingerprint="g")
    monkeypatch.chdir(tmp_path)
    before = snapshot(tmp_path)
    assert main(arguments) == 2
    output, errors = capsys.readouterr()
    assert message in errors
    assert output == ""
    assert len(errors.splitlines()) <= 2
    assert set(snapshot(tmp_path)) - before.keys() <= {str(tmp_path / "out/.lock")}


def test_a_running_search_makes_its_own_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = searched(tmp_path / "out", *SCHEDULES[:1]).folder.path
    with ResultsFolder(out).locked(resume=True):
        assert main([str(out)]) == 2
        assert "Another run is working on" in capsys.readouterr().err
        assert main([str(out), "--out", str(tmp_path / "page")]) == 0


def test_a_damaged_network_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subject = searched(tmp_path / "out", *SCHEDULES[:1])
    stage = next(iter(subject.store))
    (subject.folder.stages / stage.id / "stage.json").write_text("{")
    assert main([str(subject.folder.path)]) == 2
    said = capsys.readouterr().err
    assert stage.id in said
    assert f"checkup.py {subject.folder.path} looks for" in said


def test_a_scale_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = searched(tmp_path / "out", *SCHEDULES[:1]).folder
    folder.write(folder.read() | {"scale": {"chance": 0.1}})
    assert main([str(folder.path)]) == 2
    assert f"search.json of {folder.path} is damaged" in capsys.readouterr().err
