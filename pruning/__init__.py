"""The pruning core: rounds, channel surgery, fine-tuning, stages and their store."""

from pruning.allocation import allocate
from pruning.checkpoint import Checkpoint, read_checkpoint
from pruning.errors import (
    CheckpointError,
    InvalidRoundError,
    NonFiniteError,
    PruningError,
    StageFormatError,
    StoreError,
    TransplantError,
    UnprunableError,
)
from pruning.graph import GraphArchitecture
from pruning.groups import Architecture, ChannelGroup, load_tensors, transplant
from pruning.heads import classes_of, shapes_of, with_any_head, without_head
from pruning.importance import Importance, keep_channels, slim
from pruning.latency import LatencyLadder, Stopwatch, device_name, processor_name
from pruning.memory import keep_freed_memory
from pruning.narrow import Factory
from pruning.recipe import RECIPE_VERSION, Recipe, RecipeName
from pruning.rounds import Allocation, Round, Schedule, Start, width_mult
from pruning.runner import RoundRunner
from pruning.stages import Draft, Origin, Stage
from pruning.store import StageStore, damage, stage_ids
from pruning.student import Prune, StudentArchitecture
from pruning.training import (
    Metrics,
    Precision,
    center_crops,
    evaluate,
    fine_tune,
    new_optimizer,
    recalibrate,
    train_epoch,
)
from pruning.weights import Weights, fit_weights, read_weights

__all__ = [
    "RECIPE_VERSION",
    "Allocation",
    "Architecture",
    "ChannelGroup",
    "Checkpoint",
    "CheckpointError",
    "Draft",
    "Factory",
    "GraphArchitecture",
    "Importance",
    "InvalidRoundError",
    "LatencyLadder",
    "Metrics",
    "NonFiniteError",
    "Origin",
    "Precision",
    "Prune",
    "PruningError",
    "Recipe",
    "RecipeName",
    "Round",
    "RoundRunner",
    "Schedule",
    "Stage",
    "StageFormatError",
    "StageStore",
    "Start",
    "Stopwatch",
    "StoreError",
    "StudentArchitecture",
    "TransplantError",
    "UnprunableError",
    "Weights",
    "allocate",
    "center_crops",
    "classes_of",
    "damage",
    "device_name",
    "evaluate",
    "fine_tune",
    "fit_weights",
    "keep_channels",
    "keep_freed_memory",
    "load_tensors",
    "new_optimizer",
    "processor_name",
    "read_checkpoint",
    "read_weights",
    "recalibrate",
    "shapes_of",
    "slim",
    "stage_ids",
    "train_epoch",
    "transplant",
    "width_mult",
    "with_any_head",
    "without_head",
]
