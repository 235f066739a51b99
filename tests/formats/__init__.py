"""Files of every format."""
