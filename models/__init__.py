"""Networks. This package knows nothing of pruning."""

from models.errors import NetworkError, first_line, in_a_line
from models.named import NamedNetwork
from models.normalization import IMAGENET, Normalization, normalized
from models.published import MissingWeightsError, Published, published
from models.student import StudentNet, multiply_adds, parameter_count, student_channels

__all__ = [
    "IMAGENET",
    "MissingWeightsError",
    "NamedNetwork",
    "NetworkError",
    "Normalization",
    "Published",
    "StudentNet",
    "first_line",
    "in_a_line",
    "multiply_adds",
    "normalized",
    "parameter_count",
    "published",
    "student_channels",
]
