"""AWS clients, and which of their errors are transient."""
