"""The JSON forms of Supervisely: predictions, and the meta that names their classes and tags."""
