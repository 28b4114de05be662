"""Networks. This package knows nothing of pruning."""

from models.errors import NetworkError, first_line, in_a_line
from models.named import NamedNetwork
from models.student import StudentNet, multiply_adds, parameter_count, student_channels

__all__ = [
    "NamedNetwork",
    "NetworkError",
    "StudentNet",
    "first_line",
    "in_a_line",
    "multiply_adds",
    "parameter_count",
    "student_channels",
]
