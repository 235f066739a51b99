"""AWS clients, and which of their errors a retry may cure."""
