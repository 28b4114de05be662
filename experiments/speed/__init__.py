"""How fast is training, beside the notebook's own loop, and how should a machine be shared?"""
