"""What it costs to ask about every principal of an account."""
