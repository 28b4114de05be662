"""The names by which samplers are asked for; apart, since their modules take time to import."""

from typing import Literal, TypeAlias

SamplerName: TypeAlias = Literal["stage-tree", "tpe", "nsga2", "gp", "random"]
