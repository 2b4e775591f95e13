"""Live speech: the generator chunk by chunk with explicit state, and a session that takes pictures as they come."""
