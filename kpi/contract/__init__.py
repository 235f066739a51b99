"""Data contract: what the columns of a shop's files are."""
