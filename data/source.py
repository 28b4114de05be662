"""Which data set is asked for."""

from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError

NAMED_SETS = ("digits", "fashion-mnist")
SMALLEST_IMAGE = 16
"""StudentNet halves its input four times."""
_NAMED_IMAGE_SIZE = 32
_FOLDER_IMAGE_SIZE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """A data set by name or by folder, and the size of the square images taken from it.

    Raises:
        DataError: `data` is empty, `image_size` is under 16, or `resize` is under `image_size` or
            given beside a named set.
    """

    data: str
    """`digits`, `fashion-mnist`, or the path of a folder of images."""
    data_root: Path | None = None
    """Where a named set's files lie or are downloaded to; None is a folder of the user's cache."""
    image_size: int | None = None
    """Side of the crops in pixels; None is 32 for the named sets and 256 for a folder."""
    skip_broken: bool = False
    """Whether image files of a folder that do not decode are left out, and not refused."""
    resize: int | None = None
    """Shorter side in pixels to which images of a folder are scaled down; None keeps them."""

    def __post_init__(self) -> None:
        if not self.data:
            raise DataError(f"no data set is named; give {', '.join(NAMED_SETS)} or a folder")
        if self.image_size is not None and self.image_size < SMALLEST_IMAGE:
            raise DataError(
                f"the image size must be at least {SMALLEST_IMAGE}, as the network halves images"
                f" four times; found {self.image_size}; give --image-size {SMALLEST_IMAGE} or more"
            )
        if self.resize is not None and self.resized:
            raise DataError(
                f"--resize is for folders; images of {self.data} are scaled to the image size"
                " anyhow; leave it out"
            )
        if self.resize is not None and self.resize < self.resolved_image_size:
            raise DataError(
                f"--resize must be at least the image size, {self.resolved_image_size}, found"
                f" {self.resize}; give more, or a smaller --image-size"
            )

    @property
    def folder(self) -> Path | None:
        """The absolute path of a folder of images; None for a named set.

        Raises:
            DataError: the path leads in a circle, or to the home of nobody.
        """
        try:
            return None if self.data in NAMED_SETS else Path(self.data).expanduser().resolve()
        except RuntimeError as error:
            raise DataError(f"{self.data} leads nowhere ({error}); give another path") from error

    @property
    def name(self) -> str:
        """`digits`, `fashion-mnist`, or the last part of the folder's path."""
        return self.data if self.folder is None else self.folder.name

    @property
    def resized(self) -> bool:
        """Whether images are resized to the image size, and not only cropped to it."""
        return self.folder is None

    @property
    def resolved_image_size(self) -> int:
        """Side of the crops in pixels, with the default filled in."""
        if self.image_size is not None:
            return self.image_size
        return _NAMED_IMAGE_SIZE if self.folder is None else _FOLDER_IMAGE_SIZE
