import torch
from hypothesis import settings

settings.register_profile("shared-machine", deadline=None, max_examples=50)
settings.load_profile("shared-machine")
torch.set_num_threads(1)
