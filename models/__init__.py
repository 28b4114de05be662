"""Networks. This package knows nothing of pruning."""

from models.named import NamedNetwork, NetworkError
from models.student import StudentNet, multiply_adds, parameter_count, student_channels

__all__ = [
    "NamedNetwork",
    "NetworkError",
    "StudentNet",
    "multiply_adds",
    "parameter_count",
    "student_channels",
]
