"""What was asked for and what became of it: the ledger, budgets, failures, when to stop."""
