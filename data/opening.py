"""From a data set's name to its images in memory."""

from data.cache import cached_pack
from data.collection import Collection, Progress, digest
from data.digits import digits
from data.errors import name_some
from data.fashion_mnist import fashion_mnist
from data.folder import image_folder
from data.pack import FORMAT, Pack
from data.packed import ImageData
from data.source import DataSource


def open_data(source: DataSource, *, progress: Progress | None = None) -> ImageData:
    """Opens a data set, packing it first if this machine has not done so.

    The images are decoded once a machine into the user's cache and mapped from there by every
    process, which therefore share one copy. A source that changes is packed anew.

    Args:
        source: which data set.
        progress: called after each packed image with split, images done and images in all.

    Raises:
        DataError: the data set is refused; see the module of its kind.
    """
    size = source.resolved_image_size
    collection = _collection(source)
    pack = cached_pack(collection, progress)
    return ImageData(
        classes=collection.classes,
        image_size=size,
        padding=collection.padding,
        flip=collection.flip,
        fingerprint=digest(
            {
                "format": FORMAT,
                "content": pack.content,
                "classes": collection.classes,
                "image_size": size,
                "padding": collection.padding,
                "flip": collection.flip,
            }
        ),
        train=pack.splits["train"],
        validation=pack.splits["validation"],
        test=pack.splits["test"],
        notes=(*collection.notes, *_left_out(pack)),
    )


def _left_out(pack: Pack) -> tuple[str, ...]:
    """A line on the images that were left out, or none."""
    count = len(pack.left_out)
    total = count + sum(len(split) for split in pack.splits.values())
    named = name_some(pack.left_out)
    return (f"Left out {count} of {total} images, which do not decode: {named}",) if count else ()


def _collection(source: DataSource) -> Collection:
    if source.folder is not None:
        return image_folder(
            source.folder, skip_broken=source.skip_broken, shorter_side=source.resize
        )
    if source.data == "digits":
        return digits(source.resolved_image_size)
    return fashion_mnist(source.data_root, source.resolved_image_size)
