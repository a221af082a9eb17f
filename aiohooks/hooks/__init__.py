"""After an inference: triggers that pick frames, actions that run on them, and what became of each."""
