import subprocess
import sys
from pathlib import Path

import pytest

from search.errors import RefusedError
from search.results.folder import ResultsFolder


def test_a_folder_becomes_a_search_with_its_description(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "new" / "search")
    assert not folder.is_search()
    with folder.locked(resume=False):
        assert not folder.is_search()
        folder.write({"config": {"seed": 1}})
        assert folder.is_search()
    assert folder.read()["config"] == {"seed": 1}


def test_starting_where_a_search_lies_is_refused(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write({"config": {}})
    with pytest.raises(RefusedError, match=f"--resume {tmp_path}"), folder.locked(resume=False):
        pytest.fail("the folder was opened")


def test_resuming_where_none_lies_is_refused_and_makes_nothing(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "nothing")
    with pytest.raises(RefusedError, match=r"holds no search.\n.*--out"):
        folder.check(resume=True)
    assert not folder.path.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": 1}', '{"format": 1, "config": {}}', "\x00"]
)
def test_a_description_that_is_not_ours_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "search.json").write_text(content)
    with pytest.raises(RefusedError, match=r"search\.json"):
        ResultsFolder(tmp_path).check(resume=True)


HOLD = """
import sys
from pathlib import Path
from search.results.folder import ResultsFolder
with ResultsFolder(Path(sys.argv[1])).locked(resume=True):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_driver_at_a_time_and_a_killed_one_frees_the_folder(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write({"config": {}})
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RefusedError, match="Another run"), folder.locked(resume=True):
            pytest.fail("two drivers hold the folder")
        holder.kill()
        holder.wait()
    with folder.locked(resume=True):
        assert folder.is_search()


def test_leftovers_of_a_killed_driver_are_cleared_away(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write({"config": {}})
    (tmp_path / ".unfinished-pareto.csv").write_text("stage,tri")
    with folder.locked(resume=True):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "search.json"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = ResultsFolder(tmp_path / "file" / "search")
    with pytest.raises(RefusedError, match="cannot be written"), folder.locked(resume=False):
        pytest.fail("the folder was opened")


@pytest.mark.parametrize("name", ["stages", "study.db"])
def test_what_is_left_of_a_search_is_not_started_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(RefusedError, match=r"no search\.json"):
        ResultsFolder(tmp_path).check(resume=False)


def test_a_file_is_no_search(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text("{}")
    with pytest.raises(RefusedError, match="holds no search"):
        ResultsFolder(tmp_path / "search.json").check(resume=True)
