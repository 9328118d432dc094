"""cafrnet."""
