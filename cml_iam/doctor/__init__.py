"""What keeps the manager from its work, and what to do about it."""
