"""Image data sets, their packed form on disk, and batched augmentation."""

from data.carrying import Bring, PackedImages
from data.collection import SplitName
from data.doubts import doubts
from data.errors import DataError, name_some
from data.opening import open_data
from data.packed import ImageData, Split
from data.source import DataSource
from data.transforms import CropParameters, draw_crops, gather_center, gather_train

__all__ = [
    "Bring",
    "CropParameters",
    "DataError",
    "DataSource",
    "ImageData",
    "PackedImages",
    "Split",
    "SplitName",
    "doubts",
    "draw_crops",
    "gather_center",
    "gather_train",
    "name_some",
    "open_data",
]
