"""Contract language 2: what its 28 rules mean, row by row, and whether the product agrees."""
