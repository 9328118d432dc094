"""From weights to files that the runtime reads."""
