"""What proves a claim: a folder a question, each script beside its results."""
