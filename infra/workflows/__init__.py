"""State machines and the rules that start them."""
