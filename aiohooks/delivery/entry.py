"""An item of a spool as its index knows it."""

from typing import Literal

State = Literal["ready", "leased", "delayed", "dead", "leaving"]


class Entry:
    """What is known in memory of an item on disk: some 300 bytes, whatever it weighs there.

    The less often it was put off, and then the older it is, the sooner is its turn; that is what ``<`` compares.

    Attributes:
        number: in the order of acceptance.
        source: of the item.
        crashes: how often a process died while it had leased the item.
        nbytes: of the file.
        accepted_at: seconds since the epoch, UTC.
        attempts: deliveries that were begun by this process.
        delays: how often this process put it off.
        state: what the index thinks of it.
        place: folder of its file, empty while there is none; only file work changes it.
    """

    __slots__ = ("accepted_at", "attempts", "crashes", "delays", "nbytes", "number", "place", "source", "state")

    def __init__(
        self, number: int, nbytes: int, accepted_at: float, *, source: str = "", crashes: int = 0, place: str = ""
    ) -> None:
        self.number = number
        self.source = source
        self.crashes = crashes
        self.nbytes = nbytes
        self.accepted_at = accepted_at
        self.attempts = 0
        self.delays = 0
        self.state: State = "ready"
        self.place = place

    def __lt__(self, other: "Entry") -> bool:
        return (self.delays, self.number) < (other.delays, other.number)
