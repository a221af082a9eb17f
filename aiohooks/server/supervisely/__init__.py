"""Supervisely's inference protocol: what its SDK, and ``aiohooks.Session``, ask of a served model."""
