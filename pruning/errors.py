"""What can go wrong in the pruning core."""


class PruningError(Exception):
    """Base of every error this package raises on purpose."""


class InvalidRoundError(PruningError, ValueError):
    """A round whose numbers lie outside their range."""


class TransplantError(PruningError, ValueError):
    """The target network cannot hold the channels that were chosen for it."""


class UnprunableError(PruningError, ValueError):
    """A network whose channels cannot be found, or cannot be cut."""


class NonFiniteError(PruningError, ArithmeticError):
    """Training or evaluation produced a number that is infinite or not a number."""


class StoreError(PruningError, RuntimeError):
    """A stage on disk is missing or damaged."""


class StageFormatError(StoreError):
    """A stage on disk was written by another version of this program."""


class CheckpointError(PruningError, ValueError):
    """A file that does not hold the weights of a StudentNet, or cannot be read safely."""
