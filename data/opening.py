"""From a data set's name to its images in memory."""

from data.cache import cached_pack, pack_folder
from data.carrying import PackedImages
from data.collection import Collection, Progress
from data.digits import digits
from data.errors import name_some
from data.fashion_mnist import fashion_mnist
from data.folder import image_folder
from data.pack import Pack, write_pack
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
    collection = _collection(source)
    images = PackedImages(
        folder=pack_folder(collection.state),
        classes=collection.classes,
        image_size=source.resolved_image_size,
        padding=collection.padding,
        flip=collection.flip,
    )
    pack = cached_pack(
        collection.state, lambda folder: write_pack(folder, collection.read(), progress)
    )
    return images.mapped(pack, notes=(*collection.notes, *_left_out(pack)))


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
