"""Read samples of files, and infer the contract of a shop from them."""
