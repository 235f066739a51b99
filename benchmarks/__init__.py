"""The same job side by side with other engines; `python -m benchmarks --help` tells how."""
