import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from search.errors import RefusedError
from search.front.hypervolume import Scale
from search.front.names import CostName
from search.front.stages import hypervolume
from search.results.page import Content
from search.results.page.document import document
from tests.search.landscape import SCALE, draft, rounds
from tests.search.searched import CLASSES, SCHEDULES, searched


def embedded(page: str) -> dict[str, object]:
    """The content of a page, as an HTML parser finds it: up to the first end tag."""
    start = page.index('type="application/json">') + len('type="application/json">')
    content: dict[str, object] = json.loads(page[start : page.index("</script", start)])
    return content


def test_the_numbers_of_a_page_are_those_of_the_tables(tmp_path: Path) -> None:
    subject = searched(tmp_path / "out", *SCHEDULES)
    content = embedded(document(Content.of([subject])))
    table = pd.read_csv(tmp_path / "out" / "candidates.csv")
    assert len(table) > 10
    shown = pd.DataFrame(content["columns"], columns=table.columns).astype(table.dtypes)
    pd.testing.assert_frame_equal(shown, table, check_exact=True)


@pytest.mark.parametrize("cost", ["params", "latency"])
def test_parents_and_hypervolumes_are_of_the_row(tmp_path: Path, cost: CostName) -> None:
    subject = searched(tmp_path / "out", *SCHEDULES, cost=cost)
    table = Content.of([subject]).table
    before = []
    for row in table.itertuples():
        stage = subject.store[row.stage]
        before.append(stage)
        assert row.hypervolume == pytest.approx(hypervolume(before, SCALE, cost))
        if stage.parent is None:
            assert pd.isna(row.parent)
        else:
            assert table["stage"][row.parent] == stage.parent


def test_several_searches_are_shown_on_one_scale(tmp_path: Path) -> None:
    first = searched(tmp_path / "a" / "out", *SCHEDULES)
    second = searched(tmp_path / "b" / "out", *SCHEDULES[:2])
    wider = {"least_cost": SCALE.least_cost // 2, "root_cost": SCALE.root_cost * 2, "chance": 0.1}
    second.folder.write(second.folder.read() | {"scale": wider})
    content = Content.of([first, second])
    assert [one["name"] for one in content.searches] == [
        str(one.folder.path) for one in (first, second)
    ]
    for number, subject in enumerate((first, second)):
        rows = content.table[content.table["search"] == number]
        expected = hypervolume(subject.store, Scale(**wider))
        assert rows["hypervolume"].iloc[-1] == pytest.approx(expected)
        for row in rows.dropna(subset=["parent"]).itertuples():
            parent = content.table.iloc[row.parent]
            assert (parent["search"], parent["stage"]) == (
                number,
                subject.store[row.stage].parent,
            )


def test_searches_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    first = searched(tmp_path / "a", *SCHEDULES[:1])
    for name, other, what in (
        ("b", {"fingerprint": "g"}, "other images"),
        ("c", {"cost": "macs"}, "another --cost"),
    ):
        with pytest.raises(RefusedError, match=f"{name} has {what} than .*a: their fronts"):
            Content.of([first, searched(tmp_path / name, **other)])


def test_of_a_search_without_a_scale_no_hypervolume_is_shown(tmp_path: Path) -> None:
    subject = searched(tmp_path / "out", *SCHEDULES)
    description = subject.folder.read()
    del description["scale"]
    subject.folder.write(description)
    content = Content.of([subject])
    assert content.table["hypervolume"].isna().all()
    assert "hypervolume" not in dict(content.searches[0]["figures"])


def test_the_first_figures(tmp_path: Path) -> None:
    subject = searched(tmp_path / "out", *SCHEDULES)
    figures = dict(Content.of([subject]).searches[0]["figures"])
    root = draft(())
    best = max(one.val_accuracy for one in subject.store)
    near = [one.params for one in subject.store if one.val_accuracy >= best - 0.01]
    share = 100 * min(near) / root.params
    assert share > 10
    assert figures["networks"] == str(len(subject.store))
    assert figures["epochs executed"] == str(subject.store.executed_epochs)
    assert figures["accuracy of the root"] == f"{root.val_accuracy:.4f}"
    name = "of the root's parameters are within 0.01 of the best"
    assert figures[name] == f"{share:.0f} %"


def test_the_best_is_nearly_reached_where_it_is_far_above_chance(tmp_path: Path) -> None:
    """A root that is hardly trained is no measure, and near chance a hundredth is much."""
    name = "of the root's parameters are within 0.01 of the best"
    for best, told in ((0.15, False), (0.25, True)):
        subject = searched(tmp_path / f"{best}")
        (half,) = rounds(0.5)
        for one, accuracy in ((draft(()), 0.12), (draft((half,)), best)):
            subject.store.commit(replace(one, val_accuracy=accuracy), b"", trial=0)
        assert (name in dict(Content.of([subject]).searches[0]["figures"])) == told


def test_a_front_of_the_root_alone_needs_all_of_it(tmp_path: Path) -> None:
    subject = searched(tmp_path / "out", ())
    figures = dict(Content.of([subject]).searches[0]["figures"])
    assert figures["of the root's parameters are within 0.01 of the best"] == "100 %"


def test_no_name_can_end_the_block_that_it_stands_in(tmp_path: Path) -> None:
    subject = searched(tmp_path / "</script><!-- $style" / "out", *SCHEDULES[:1])
    page = document(Content.of([subject]))
    assert page.count("</script>") == 2
    (search,) = embedded(page)["searches"]  # type: ignore[misc]
    assert search["folder"] == str(subject.folder.path)
    facts = dict(search["facts"])
    assert facts["classes"] == f"{len(CLASSES)}: {', '.join(CLASSES)}"


def test_repeats_are_shown_beside_what_they_repeat(tmp_path: Path) -> None:
    subject = searched(tmp_path / "out", *SCHEDULES)
    (half,) = rounds(0.5)
    subject.store.commit(draft((replace(half, replicate=1),), 0.625), b"", trial=9)
    table = Content.of([subject]).table.set_index("stage")
    assert table.loc[draft((half,)).id, "repeats_val_mean"] == 0.625
    assert len(table) == len(subject.store)
