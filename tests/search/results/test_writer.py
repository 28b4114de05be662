import time
from pathlib import Path

import pandas as pd
import pytest

from search.results.writer import ResultsWriter
from tests.search.landscape import grow, rounds
from tests.search.searched import SCHEDULES, searched


def test_the_page_is_made_anew_once_a_minute_and_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = searched(tmp_path / "out", *SCHEDULES)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    writer = ResultsWriter(subject.folder, subject.store)
    page, picture = (tmp_path / "out" / name for name in ("report.html", "pareto.png"))
    writer.refresh()
    first = page.read_text()
    picture.unlink()
    new = grow(subject.store, rounds(0.7, 0.9))
    now += 59
    writer.refresh()
    assert page.read_text() == first
    assert not picture.exists()
    now += 2
    writer.refresh()
    assert new[-1].id in page.read_text()
    assert picture.exists()
    page.unlink()
    writer.write_all()
    assert page.exists()


def test_a_page_that_cannot_be_written_is_said_once_and_ends_nothing(tmp_path: Path) -> None:
    subject = searched(tmp_path / "out", *SCHEDULES)
    (tmp_path / "out" / "report.html").mkdir()
    said: list[str] = []
    writer = ResultsWriter(subject.folder, subject.store, say=said.append)
    for rates in ((0.7, 0.9), (0.7, 0.5)):
        grow(subject.store, rounds(*rates))
        writer.write_all()
        table = pd.read_csv(tmp_path / "out" / "candidates.csv")
        assert len(table) == len(subject.store)
    assert not list((tmp_path / "out").glob(".unfinished-*"))
    (line,) = said
    assert line.startswith("report.html and pareto.png could not be written: ")
    assert "directory" in line
