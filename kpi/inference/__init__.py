"""Infer a contract of language 2 from samples of a shop's files; no I/O."""
