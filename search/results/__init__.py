"""What a search keeps and shows: the results folder, its description and its tables."""
