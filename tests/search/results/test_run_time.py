import time
from pathlib import Path

import pytest

from search.results.folder import ResultsFolder
from search.results.run_time import RunTime


def test_hours_add_up_over_runs(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write({"config": {"seed": 3}})
    first = RunTime(folder)
    time.sleep(0.05)
    first.save()
    kept = folder.read()
    assert kept["config"] == {"seed": 3}
    assert 0.05 / 3600 <= kept["hours"] < 10 / 3600
    second = RunTime(folder)
    time.sleep(0.05)
    assert second.hours >= kept["hours"] + 0.05 / 3600


def test_it_is_not_saved_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write({"config": {}})
    run_time = RunTime(folder)
    run_time.save_if_due()
    assert "hours" not in folder.read()
    moment = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: moment + 61)
    run_time.save_if_due()
    assert folder.read()["hours"] > 60 / 3600
