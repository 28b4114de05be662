"""What people look at: `report.html` and `pareto.png`, of one search or of several."""

from search.results.page.content import Content, Subject
from search.results.page.publishing import publish

__all__ = ["Content", "Subject", "publish"]
