"""Erase customers from rows: keyed digests of ids, pseudonyms, and what is done with a table."""
