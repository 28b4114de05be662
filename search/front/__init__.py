"""The front: dominance and hypervolume, which see arrays only, and the front of stages."""
