"""The room for levels as a sequence (label map -> column -> named levels, confidence). Nothing yet."""
