"""JSON texts to columns of texts: where records end, and where in them the wanted values are."""
