"""What a class challenge is made of: its secret, its hidden dives, its ranking and its page."""
