"""Networks. This package knows nothing of pruning."""

from models.student import StudentNet, multiply_adds, parameter_count, student_channels

__all__ = ["StudentNet", "multiply_adds", "parameter_count", "student_channels"]
