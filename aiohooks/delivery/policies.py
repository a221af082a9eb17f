"""Policies of a store, in words that can be saved."""

from typing import Literal

Full = Literal["block", "raise", "drop_newest", "drop_oldest"]
"""What `put` does while a store is full: wait, raise `DeliveryError`, or drop and count."""

Fsync = Literal["always", "interval", "never"]
"""When what was written is forced to the disk, so that it outlives a power loss: before it counts as accepted, every second, or
when the system chooses to. A killed process loses nothing in any case."""
