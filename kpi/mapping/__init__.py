"""Tables of texts, as a file of any format gives them, to typed rows of the datasets it feeds."""
