"""The page as people have it: in Chromium, which Debian's package of that name installs."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from search.results.page import Subject, publish
from tests.browser import CHROMIUM, Browser, browser
from tests.search.landscape import grow, rounds
from tests.search.searched import SCHEDULES, searched

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

SHOWN = {
    "parameters": ("params", "{:,}"),
    "multiply-adds": ("macs", "{:,}"),
    "bytes": ("size_bytes", "{:,}"),
    "validation": ("val_accuracy", "{:.4f}"),
    "test": ("test_accuracy", "{:.4f}"),
    "rounds": ("round", "{:,}"),
    "seconds": ("seconds", "{:.1f}"),
    "made at epoch": ("executed_epochs", "{:,}"),
}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    one = searched(tmp_path_factory.mktemp("searched") / "out", *SCHEDULES)
    publish([one], one.folder)
    return one


@pytest.fixture
def page(chromium: Browser, subject: Subject) -> Iterator[Browser]:
    """The page of one search, opened; nothing may be said on the console."""
    chromium.open(subject.folder.path / "report.html")
    yield chromium
    assert chromium.messages == []


def table_of(page: Browser) -> list[dict[str, str]]:
    heads, *rows = page.run(
        "[...document.querySelectorAll('#table tr')].map(row => "
        "[row.dataset.stage ?? 'id', ...[...row.cells].map(cell => cell.textContent)])"
    )
    return [dict(zip(heads, row, strict=True)) for row in rows]


def marks(page: Browser) -> int:
    return int(page.run("document.querySelectorAll('#front .mark').length"))


def test_every_row_is_equal_to_the_tables(page: Browser, subject: Subject) -> None:
    for switch, name in (("rows-front", "pareto.csv"), ("rows-all", "candidates.csv")):
        page.run(f"document.getElementById('{switch}').click()")
        with (subject.folder.path / name).open(newline="") as file:
            expected = {row["stage"]: row for row in csv.DictReader(file)}
        shown = table_of(page)
        assert {row["id"] for row in shown} == expected.keys()
        for row in shown:
            for title, (column, form) in SHOWN.items():
                cell = expected[row["id"]][column]
                number = (float if "." in form else int)(cell) if cell else None
                assert row[title] == ("\u2013" if number is None else form.format(number)), title


def test_there_is_a_mark_for_every_candidate(page: Browser, subject: Subject) -> None:
    members = len((subject.folder.path / "pareto.csv").read_text().splitlines()) - 1
    assert marks(page) == len(subject.store)
    assert page.run("document.querySelectorAll('#front .member').length") == members
    assert page.run("document.querySelectorAll('#front .test').length") == members
    page.run("document.getElementById('show-all').click()")
    assert marks(page) == members < len(subject.store)


def test_nothing_is_fetched(page: Browser) -> None:
    assert page.run("performance.getEntriesByType('resource').length") == 0


def test_the_keyboard_sorts(page: Browser) -> None:
    def accuracies() -> list[str]:
        return [row["validation"] for row in table_of(page)]

    head = "[...document.querySelectorAll('#table th')].find(th => th.innerText === 'validation')"
    page.run(f"{head}.querySelector('button').focus()")
    for order in ("ascending", "descending"):
        page.press("Enter")
        assert page.run(f"{head}.getAttribute('aria-sort')") == order
        assert accuracies() == sorted(accuracies(), reverse=order == "descending")
    assert len(set(accuracies())) > 2


def test_arrow_keys_go_along_the_front(page: Browser, subject: Subject) -> None:
    page.run("document.querySelector('#table tbody button.id').click()")
    order = [row["id"] for row in table_of(page)]  # by ascending cost
    page.run("document.querySelector('#front svg').focus()")
    for stage in order[1:3]:
        page.press("ArrowRight")
        assert page.run("document.querySelector('tr.chosen').dataset.stage") == stage
        assert stage in page.run("document.querySelector('#selected').textContent")
    path = page.run("document.querySelector('#front .path').getAttribute('d')")
    assert path.count("L") == len(subject.store[order[2]].schedule)
    assert "path of the chosen network" in page.run("document.querySelector('.legend').innerText")
    strokes = "[...document.querySelectorAll('.path')].map(one => getComputedStyle(one).stroke)"
    assert len(set(page.run(strokes))) == 1


def test_the_mouse_tells_what_is_under_it(page: Browser, subject: Subject) -> None:
    page.run("document.querySelector('#front').scrollIntoView()")
    x, y = page.run(
        "(box => [box.x + box.width / 2, box.y + box.height / 2])"
        "(document.querySelector('#front .member').getBoundingClientRect())"
    )
    for kind, buttons in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 1)):
        page.call(
            "Input.dispatchMouseEvent",
            type=kind, x=x, y=y, button="left" if buttons else "none", clickCount=buttons,
        )  # fmt: skip
        if kind == "mouseMoved":
            told = page.run("document.querySelector('.tip').textContent")
    stage = page.run("document.querySelector('tr.chosen').dataset.stage")
    assert stage in told
    assert f"{subject.store[stage].val_accuracy:.4f} validation" in told


@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "denied"])
def test_a_schedule_is_copied(page: Browser, subject: Subject, allowed: bool) -> None:
    def permit(name: str, setting: str) -> None:
        page.call("Browser.setPermission", permission={"name": name}, setting=setting)

    permit("clipboard-read", "granted")
    permit("clipboard-write", "granted" if allowed else "denied")
    row = table_of(page)[0]
    page.call("Page.bringToFront")
    page.run("document.querySelector('#table .copy').click()")
    said = page.run(
        "new Promise(done => { const button = document.querySelector('#table .copy');"
        " const look = () => button.textContent === 'copy'"
        " ? setTimeout(look, 10) : done(button.textContent); look(); })"
    )
    assert said == "copied"
    permit("clipboard-write", "granted")
    copied = json.loads(page.run("navigator.clipboard.readText()"))
    schedule = subject.store[row["id"]].schedule
    assert copied == {
        "rates": [one.rate for one in schedule],
        "epochs": [one.epochs for one in schedule],
        "lrs": [one.lr for one in schedule],
        "allocations": [one.allocation for one in schedule],
        "starts": [one.start for one in schedule],
    }


def test_a_phone_needs_no_scrolling_sideways(page: Browser, subject: Subject) -> None:
    page.open(subject.folder.path / "report.html", width=390)
    assert page.run("document.documentElement.scrollWidth") == 390
    assert page.run("document.querySelector('#front svg').getBoundingClientRect().width") <= 390


def test_the_dark_is_dark(page: Browser, subject: Subject) -> None:
    grounds = []
    for dark in (False, True):
        page.open(subject.folder.path / "report.html", dark=dark)
        grounds.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]


def test_several_searches_and_names_that_are_markup(chromium: Browser, tmp_path: Path) -> None:
    name = "<b>b< $style"
    subjects = [searched(tmp_path / one / "<!-- <", *SCHEDULES) for one in ("a", name)]
    publish(subjects, subjects[1].folder)
    chromium.open(subjects[1].folder.path / "report.html")
    assert chromium.messages == []
    assert marks(chromium) == sum(len(one.store) for one in subjects)
    title = chromium.run("document.querySelector('h1').textContent")
    assert title == f"Pruning schedules of {', '.join(str(one.folder.path) for one in subjects)}"
    assert chromium.run("document.querySelectorAll('b').length") == 0


def test_latency_is_a_cost_like_any_other(chromium: Browser, tmp_path: Path) -> None:
    one = searched(tmp_path / "out", *SCHEDULES, cost="latency")
    publish([one], one.folder)
    chromium.open(one.folder.path / "report.html")
    assert chromium.messages == []
    assert marks(chromium) == len(one.store)
    table = pd.read_csv(one.folder.path / "pareto.csv")
    shown = [float(row["latency, ms"]) for row in table_of(chromium)]
    assert shown == pytest.approx(sorted(table["latency_ms"]), abs=5e-4)


def test_a_search_that_has_just_begun(chromium: Browser, tmp_path: Path) -> None:
    for name, schedules in (("none", ()), ("root", ((),))):
        one = searched(tmp_path / name, *schedules)
        publish([one], one.folder)
        chromium.open(one.folder.path / "report.html")
        assert chromium.messages == []
        assert marks(chromium) == len(one.store)


@pytest.mark.slow
def test_a_search_of_a_thousand_networks(chromium: Browser, tmp_path: Path) -> None:
    one = searched(tmp_path / "out")
    for number in range(1000):
        rates = ((1 + number // 10**place % 10) / 11 for place in range(3))
        grow(one.store, rounds(*rates)[: 3 if number else 0])
        if len(one.store) >= 1000:
            break
    publish([one], one.folder)
    page = one.folder.path / "report.html"
    assert page.stat().st_size < 3_000_000
    chromium.open(page)
    assert chromium.messages == []
    assert marks(chromium) == len(one.store) == 1000
