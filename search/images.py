"""The images that a search is asked to use."""

from data import DataError, DataSource, ImageData, doubts, name_some, open_data
from search.configuration import SearchConfig
from search.console import Console
from search.errors import RefusedError

_LEAST_CLASSES = 2


def open_images(config: SearchConfig, console: Console) -> ImageData:
    """Map the images that a search is asked to use, and pack them first if need be.

    Raises:
        RefusedError: They cannot be used.
    """

    def progress(split: str, done: int, total: int) -> None:
        if console.status_is_due():
            console.status(f"reading the images of {split}: {done:,} of {total:,}")

    try:
        source = DataSource(
            data=config.data,
            data_root=config.data_root,
            image_size=config.image_size,
            skip_broken=config.skip_broken,
            resize=config.resize,
        )
        data = open_data(source, progress=progress)
    except DataError as error:
        raise RefusedError(str(error)) from error
    if len(data.classes) < _LEAST_CLASSES:
        raise RefusedError(
            f"--data {config.data} has one class ({name_some(data.classes)}), and so nothing to "
            "tell apart.\nGive images of two classes or more."
        )
    for line in (data.summary, *data.notes, *doubts(data)):
        console.news(f"{line}.")
    return data
