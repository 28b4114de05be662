"""Puts page and picture in place."""

from collections.abc import Sequence

from search.results.folder import ResultsFolder
from search.results.page.content import Content, Subject
from search.results.page.document import document


def publish(subjects: Sequence[Subject], folder: ResultsFolder) -> None:
    """Write `report.html` and `pareto.png` of some searches into a folder.

    Raises:
        RefusedError: The searches cannot be compared, or a description cannot be read.
        OSError: The folder cannot be written.
    """
    # A search starts without the half second that matplotlib takes, and does without it at need.
    from search.results.page.picture import picture

    content = Content.of(subjects)
    folder.put("report.html", document(content))
    folder.put("pareto.png", picture(content))
