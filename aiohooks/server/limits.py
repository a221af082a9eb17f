"""How much a client may ask of a server."""

import msgspec

from aiohooks.errors import SpecError

MEGA = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a server takes; of more it says so, with a status of 4xx or 503, and serves on.

    Attributes:
        body_bytes: of a request's body that is held in memory, after decompression.
        json_bytes: of the JSON in a body; read, it takes ten times the memory.
        buffered_bytes: of all bodies that are held in memory at once.
        upload_bytes: of a body that is kept on disk, such as a video.
        uploads_bytes: of all bodies that are kept on disk at once, those of jobs until these have ended.
        pixels: of one picture, by its header; of each that is under way, three bytes a pixel are in memory.
        frames: pictures in one request that is answered as a whole.
        fields: parts of a form.
        message_bytes: of one WebSocket message, after decompression.
        running: requests to one deployment at once; by default twice the inferences that run at once, so that pictures are
            decoded meanwhile.
        waiting: requests to one deployment that wait beyond those.
        per_client: requests of one address, running or waiting, to one deployment; by default as many as there is room for.
        streams: streams of frames through one deployment at once, WebSockets among them.
        jobs: of one deployment at once, whose clients ask for the results.
        request_seconds: from a request's first byte to the end of its inference, unless it is a stream.
        body_seconds: that a body which is held in memory may take to arrive, a body that is kept on disk to go on, and a client to
            take the next result of a stream.
        upload_seconds: that a body which is kept on disk may take to arrive.
        upload_rate: bytes a second that it has to make on average, after its first ``body_seconds``.
        idle_seconds: that a stream of pictures, or a WebSocket, may take to bring its next picture whole, and that a job is kept
            for which nobody asks.

    Raises:
        SpecError: a limit is not above 0.
    """

    body_bytes: int = 64 * MEGA
    json_bytes: int = 8 * MEGA
    buffered_bytes: int = 512 * MEGA
    upload_bytes: int = 4096 * MEGA
    uploads_bytes: int = 16384 * MEGA
    pixels: int = 25_000_000
    frames: int = 256
    fields: int = 512
    message_bytes: int = 16 * MEGA
    running: int | None = None
    waiting: int = 128
    per_client: int | None = None
    streams: int = 16
    jobs: int = 16
    request_seconds: float = 60.0
    body_seconds: float = 60.0
    upload_seconds: float = 3600.0
    upload_rate: int = 16 * 1024
    idle_seconds: float = 600.0

    def __post_init__(self) -> None:
        for name, value in msgspec.structs.asdict(self).items():
            if value is not None and not (value > 0 or (name == "waiting" and value == 0)):
                raise SpecError(f"Limits.{name}: expected more than 0, got {value!r}")
