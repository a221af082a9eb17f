"""What tells that the world has left the training data."""
