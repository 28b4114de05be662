"""Who is told what happens in a search, as the flags of a run say."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from search.configuration import SearchConfig
from search.results.folder import ResultsFolder
from search.watch.background import Background
from search.watch.board import Board
from search.watch.events import Events, JsonLog, Listener
from search.watch.scalars import Scalars
from search.watch.tracking import Tracker


@contextmanager
def listening(
    config: SearchConfig, folder: ResultsFolder, say: Callable[[str], None]
) -> Iterator[Events]:
    """Tell listeners what happens, in the end the reason of the end.

    Args:
        config: Of the run.
        folder: Of the search, which need not be there yet.
        say: Is told of listeners that fail.

    Raises:
        RefusedError: A listener lacks what it needs.
    """
    listeners: list[Listener] = []
    if config.log_json is not None:
        listeners.append(JsonLog(config.log_json))
    if config.tensorboard:
        listeners.append(Board(folder.path / "tensorboard", Scalars(config.cost)))
    if config.mlflow:
        listeners.append(Background(Tracker(folder, Scalars(config.cost))))
    events = Events(listeners, say)
    try:
        yield events
    except BaseException as why:
        events.add("end", reason=str(why) or type(why).__name__)
        raise
    events.add("end", reason="done")
