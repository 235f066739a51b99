"""Fuzzing: any bytes as files, contracts and settings, any text as names and values."""
