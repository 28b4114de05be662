"""How much training does a sampler need for the same front, and what does a proposal cost?"""
