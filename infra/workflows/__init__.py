"""State machines, and the rules and schedules that start them."""
