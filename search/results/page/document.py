"""The page: one HTML file that needs nothing else."""

import json
from importlib.resources import files
from string import Template

from search.results.page.content import Content

_SCRIPTS = ("drawing.js", "charts.js", "tables.js", "page.js")


def document(content: Content) -> str:
    """The text of `report.html`.

    All that is not ours is in one block of JSON, in which no `<` is left that could end it, and
    becomes text nodes. The file may load nothing, which its content security policy says.
    """
    block = json.dumps(content.to_json(), separators=(",", ":"), allow_nan=False)
    return Template(_asset("page.html")).substitute(
        style=_asset("page.css"),
        content=block.replace("<", "\\u003c"),
        script="\n".join(map(_asset, _SCRIPTS)),
    )


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
