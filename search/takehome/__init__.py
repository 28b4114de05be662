"""A network of a search as files that need nothing of this program."""
