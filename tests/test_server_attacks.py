"""What is known to have hurt other servers: each gets a clear refusal, memory stays bounded, and the server serves on."""

import gzip
import io
import json
import random
import select
import socket
import struct
import time
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import served
import server_process
from PIL import Image
from server_process import ServerProcess
from sources_fixtures import encode, needs_proc, smooth_picture

RED = served.png(red=255)
INFER = "/deployments/colours/infer"
OPEN_INFER = "/v2/models/colours/infer"

pytestmark = needs_proc


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    model = served.colours(tmp_path_factory.mktemp("attacks"))
    limits = ["--limit", "pixels=4000000", "--limit", "body_bytes=8000000", "--limit", "body_seconds=1"]
    with server_process.serving(model, *limits, "--limit", "fields=50", "--access-log", "off") as process:
        for _ in range(3):
            assert process.request("POST", INFER, encode(smooth_picture(1000, 1000), "PNG"))[0] == 200
        yield process


@pytest.fixture
def server(process: ServerProcess) -> Iterator[ServerProcess]:
    before = process.reset_peak()
    yield process
    assert process.request("POST", INFER, RED)[0] == 200  # it serves on
    assert process.peak - before < 150, "it took more than 150 MB"
    assert not any("Traceback" in line for line in process.said), "".join(process.said)


def said(status: int, body: bytes) -> tuple[int, str]:
    return status, json.loads(body)["error"]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_bomb(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)  # which can be repeated
    size = (3 * side + 1) * side // 1_000_000 * 1_000_000
    checksum = struct.pack(">HH", size % 65521, 1)  # Adler-32 of zeros
    rows = b"\x78\xda" + block * (size // 1_000_000) + b"\x03\x00" + checksum
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def post(path: str, headers: str = "", body: bytes = b"") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n".encode() + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


# pictures ------------------------------------------------------------------------------------------------------


def test_a_picture_that_is_a_bomb(server: ServerProcess) -> None:
    bomb = png_bomb(10_000)
    assert len(bomb) < 400_000
    status, error = said(*server.request("POST", INFER, bomb))
    assert (status, "10000×10000" in error) == (400, True)
    request = json.dumps(
        {
            "inputs": [
                {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(bomb) + 4}}
            ]
        }
    ).encode()
    body = request + struct.pack("<I", len(bomb)) + bomb
    headers = {"Inference-Header-Content-Length": str(len(request))}
    assert "10000×10000" in said(*server.request("POST", OPEN_INFER, body, headers))[1]


@pytest.mark.parametrize(
    ("picture", "status"),
    [
        (b"", 400),
        (b"\x89PNG\r\n\x1a\n", 400),
        (RED[:-20], 400),
        (encode(smooth_picture(), "JPEG")[:200], 400),
        (encode(np.zeros((1, 1, 3), np.uint8), "PNG"), 200),
        (encode(Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16), "PNG"), 200),
        (encode(Image.new("CMYK", (40, 30)), "JPEG"), 200),
        (b"P5\n0 0\n255\n", 400),
        (b"GIF89a\0\0\0\0\0\0\0;", 400),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400),
    ],
    ids=["empty", "signature", "cut PNG", "cut JPEG", "1x1", "16 bit", "CMYK", "no pixels", "empty GIF", "SVG"],
)
def test_odd_pictures(server: ServerProcess, picture: bytes, status: int) -> None:
    answer = server.request("POST", INFER, picture)
    assert answer[0] == status, answer
    assert b"/" not in answer[1].replace(b"picture/", b"") or status == 200


def test_turned_and_animated_pictures(server: ServerProcess) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(Image.new("RGB", (40, 20)), "JPEG", exif=exif)
    assert json.loads(server.request("POST", INFER, turned)[1])["size"] == [40, 20]
    frames = [Image.new("RGB", (30, 20), (index, 0, 0)) for index in range(200)]
    for kind in ("GIF", "PNG", "WEBP"):
        buffer = io.BytesIO()
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
        assert json.loads(server.request("POST", INFER, buffer.getvalue())[1])["size"] == [20, 30]


# bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_is_a_bomb(server: ServerProcess, encoding: str) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(60)) + packer.flush()
    assert len(bomb) < 200_000
    for path in (INFER, OPEN_INFER, "/inference_image_id"):
        status, error = said(*server.request("POST", path, bomb, {"Content-Encoding": encoding}))
        assert (status, "8000000 bytes" in error) == (413, True)


def test_a_body_that_is_not_what_it_says(server: ServerProcess) -> None:
    for body in (b"no gzip at all", gzip.compress(RED)[:-30]):
        answer = server.raw(post(INFER, f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n", body))
        assert status_of(answer) == 400


def test_a_body_longer_than_it_may_be(server: ServerProcess) -> None:
    answer = server.raw(post(INFER, "Content-Length: 99999999999\r\n"))
    assert status_of(answer) == 413


def test_a_body_in_one_byte_chunks(server: ServerProcess) -> None:
    body = b"1\r\nx\r\n" * 65_000 + b"0\r\n\r\n"
    assert status_of(server.raw(post(INFER, "Transfer-Encoding: chunked\r\n", body))) == 400  # not a picture


@pytest.mark.parametrize(
    "body",
    [b"FFFFFFFFFFFFFFFFFF\r\nx", b"zz\r\nx\r\n", b"-1\r\nx\r\n", b"1;" + b"a" * 100_000, b"5\r\nabc\r\n0\r\n\r\n"],
)
def test_chunks_that_are_none(server: ServerProcess, body: bytes) -> None:
    assert status_of(server.raw(post(INFER, "Transfer-Encoding: chunked\r\n", body))) in (0, 400, 408)


def form(count: int, content: bytes = b"x", name: str = "files") -> bytes:
    part = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'.encode() + content + b"\r\n"
    return part * count + b"--b--\r\n"


def test_a_form_with_thousands_of_fields(server: ServerProcess) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    status, error = said(*server.request("POST", "/inference_batch", form(20_000), headers))
    assert (status, "50 parts" in error) == (413, True)


@pytest.mark.parametrize("path", ["/inference_batch", "/deployments/colours/stream"])
def test_forms_that_make_no_sense(server: ServerProcess, path: str) -> None:
    for content_type in (
        "multipart/form-data",
        f"multipart/form-data; boundary={'b' * 70_000}",
        "multipart/mixed; boundary=",
    ):
        status, _ = server.request("POST", path, form(2), {"Content-Type": content_type[:8000]})
        assert status in (400, 415), content_type[:40]
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for body in (
        b"",
        b"--b",
        form(1)[:-20],
        b"--b\r\n" + b"a: b\r\n" * 10_000,
        b"--b\r\nContent-Length: 999999999999\r\n\r\nx",
        b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--b--\r\n",
        b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n@@@\r\n--b--\r\n",
        b"--b\r\nContent-Encoding: gzip\r\n\r\n@@@\r\n--b--\r\n",
        b"\x00" * 10_000,
    ):
        status, answer = server.request("POST", path, body, headers)
        is_told = status == 200 and b'"error"' in answer  # a stream says it of each part
        assert is_told or status in (400, 408, 413, 415), (body[:60], status, answer)


# tensors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tensor",
    [
        '{"name":"pixels","shape":[99999999999,99999999999,3],"datatype":"UINT8","data":[1]}',
        '{"name":"pixels","shape":[1e400],"datatype":"UINT8","data":[1]}',
        '{"name":"pixels","shape":[-1,-1,3],"datatype":"UINT8","data":[1,2,3]}',
        '{"name":"pixels","shape":[0,0,3],"datatype":"UINT8","data":[]}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"UINT8","data":[1,2,NaN]}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"UINT8","data":[1,2,300]}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"UINT8","data":[1,2,99999999999999999999999999]}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"UINT8","data":[1,2,1.5]}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"FP32","data":[1,2,1e39]}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"OBJECT","data":[1,2,3]}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"UINT8","parameters":{"binary_data_size":99}}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"UINT8","parameters":{"binary_data_size":-1}}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"UINT8","parameters":{"binary_data_size":true}}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"UINT8"}',
        '{"name":"image","shape":[1],"datatype":"BYTES","data":[5]}',
        '{"name":"image","shape":[1000],"datatype":"BYTES","data":["a"]}',
        '{"name":"image","shape":[1],"datatype":"BYTES","data":["\\ud800"]}',
        '{"name":"pixels","shape":[1,1,3],"datatype":"UINT8","data":' + "[" * 5000 + "]" * 5000 + "}",
        '{"name":"image","shape":[131073],"datatype":"BYTES","data":[' + '"",' * 131_072 + '""]}',
        '{"name":"' + "n" * 100_000 + '","shape":[1],"datatype":"BYTES","data":["a"]}',
    ],
)
def test_tensors_that_are_none(server: ServerProcess, tensor: str) -> None:
    for path in (OPEN_INFER, "/v2/models/colours.tensors/infer"):
        status, error = said(*server.request("POST", path, f'{{"inputs":[{tensor}]}}'.encode()))
        assert status == 400
        assert len(error) <= 1000


def test_json_that_would_take_much_memory(server: ServerProcess) -> None:
    for item in ("[]", "{}", "0", '""'):
        values = ",".join([item] * (7_000_000 // (len(item) + 1)))
        body = '{"inputs":[{"name":"pixels","shape":[1,1,3],"datatype":"UINT8","data":[' + values + "]}]}"
        status, _ = server.request("POST", OPEN_INFER, body.encode())
        assert status == 400


def test_the_length_of_the_json_is_a_lie(server: ServerProcess) -> None:
    for length in ("-1", "99999999999999999999", "x", "0", "1000000", ""):
        status, _ = server.request("POST", OPEN_INFER, b'{"inputs":[]}', {"Inference-Header-Content-Length": length})
        assert status == 400, length


# addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/..%2f..%2fetc/passwd",
        "/v2/models/..%2f..%2fx",
        "/v2/models/%00",
        "/deployments/%2e%2e",
        "/static/",
        "/net/..%2f/is_ready",
        "/v2/models/a%0ab",
    ],
)
def test_addresses_that_lead_out(server: ServerProcess, path: str) -> None:
    status, error = said(*server.request("GET", path))
    assert status in (404, 405)
    assert "/etc" not in error


def test_other_hosts_and_web_sites(server: ServerProcess) -> None:
    port = server.port
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::1].evil"):
        assert status_of(
            server.raw(f"POST {INFER} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        ) in (400, 421)
    for origin in ("http://evil.example", "null", "http://localhost.evil.example", "http://[", "http://]"):
        assert server.request("POST", INFER, RED, {"Origin": origin})[0] == 403
    for origin in (f"http://localhost:{port}", "http://127.0.0.1"):
        assert server.request("POST", INFER, RED, {"Origin": origin})[0] == 200


def test_pictures_are_not_fetched_unless_that_is_allowed(server: ServerProcess) -> None:
    state = {"state": {"image_url": f"http://127.0.0.1:{server.port}/metrics"}}
    status, error = said(*server.request("POST", "/inference_image_url", json.dumps(state).encode()))
    assert (status, "does not fetch" in error) == (403, True)


# sockets -------------------------------------------------------------------------------------------------------

UPGRADE = (
    b"GET /deployments/colours/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
LAST, COMPRESSED, BINARY, TEXT, CLOSE, PING = 0x80, 0x40, 2, 1, 8, 9


def frame_of(first: int, content: bytes, *, length: int | None = None, mask: bool = True) -> bytes:
    size = len(content) if length is None else length
    if size < 126:
        head = bytes([first, mask << 7 | size])
    elif size < 65536:
        head = bytes([first, mask << 7 | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first, mask << 7 | 127]) + struct.pack(">Q", size)
    return head + (bytes(4) if mask else b"") + content  # a mask of zeros changes nothing


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(bytes(size)) + packer.flush(zlib.Z_SYNC_FLUSH)


ODD_FRAMES = {
    "compressed": ([(LAST | BINARY | COMPRESSED, bomb(20_000_000))], 1002),  # which was not agreed on
    "reserved bit": ([(LAST | BINARY | 0x20, RED)], 1002),
    "two pieces that are too much": ([(BINARY, bytes(9_000_000)), (LAST, bytes(9_000_000))], 1009),
    "goes on with nothing": ([(LAST, RED)], 1002),
    "begins inside another": ([(BINARY, RED), (LAST | BINARY, RED)], 1002),
    "ping in pieces": ([(PING, b"x")], 1002),
    "long ping": ([(LAST | PING, bytes(126))], 1002),
    "unknown": ([(LAST | 3, b"")], 1002),
    "text that is none": ([(LAST | TEXT, b"\xff\xfe")], 1007),
    "half a code": ([(LAST | CLOSE, b"x")], 1002),
    "code that is none": ([(LAST | CLOSE, b"\0\0")], 1002),
}


@pytest.mark.parametrize("kind", ODD_FRAMES)
def test_frames_that_are_none(server: ServerProcess, kind: str) -> None:
    frames, code = ODD_FRAMES[kind]
    assert code_of_the_end(server, b"".join(frame_of(first, content) for first, content in frames)) in (code, None)


@pytest.mark.parametrize("length", [20_000_000, 2**40, 2**63])
def test_a_frame_longer_than_it_may_be(server: ServerProcess, length: int) -> None:
    assert code_of_the_end(server, frame_of(LAST | BINARY, b"x" * 100, length=length)) == 1009


def code_of_the_end(server: ServerProcess, sent: bytes) -> int | None:
    """The code with which the server closes the socket; None if it is cut off before all has been sent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(UPGRADE)
        answer = connection.makefile("rb")
        assert b" 101 " in answer.readline()
        while (line := answer.readline()) != b"\r\n":
            assert b"deflate" not in line.lower()
        try:
            connection.sendall(sent)
            rest = answer.read()
        except ConnectionError:
            return None
    closing = rest[rest.rindex(b"\x88") :]
    return int.from_bytes(closing[2:4], "big")


# connections ---------------------------------------------------------------------------------------------------


def test_clients_that_say_nothing_hold_nobody_up(server: ServerProcess) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    try:
        for index, connection in enumerate(slow):
            connection.sendall(post(INFER, "Content-Length: 1000\r\n")[: 20 if index % 2 else None])
        assert server.request("POST", INFER, RED)[0] == 200
        slow[0].settimeout(20)
        assert status_of(slow[0].recv(1000)) == 408  # its body did not come in the second that it may take
    finally:
        for connection in slow:
            connection.close()


def test_headers_without_end(server: ServerProcess) -> None:
    for headers in ("a: " + "b" * 100_000 + "\r\n", "a: b\r\n" * 10_000, "a" * 100_000):
        assert status_of(server.raw(post(INFER, headers))) in (0, 400, 431)


def test_malformed_http(server: ServerProcess) -> None:
    """800 requests of which bytes were changed, taken away or put in: no 5xx, and no traceback (see `server`).

    Of 200 at once 16 may be streams: there are so many places for them.
    """
    chance = random.Random(0)
    requests = [
        post(INFER, f"Content-Type: image/png\r\nContent-Length: {len(RED)}\r\n", RED),
        post(OPEN_INFER, "Transfer-Encoding: chunked\r\n", b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'),
        post(
            "/deployments/colours/stream",
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100\r\n",
            form(1),
        ),
        b"GET /deployments/colours/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x82\x05hello",
    ]
    infers, streams = requests[:2], requests[2:]
    statuses = Counter[int]()
    for _ in range(4):
        waiting = []
        for number in range(200):
            connection = socket.create_connection(("127.0.0.1", server.port))
            request = streams[number % 2] if number < 16 else infers[number % 2]
            connection.sendall(changed(bytearray(request), chance))
            waiting.append(connection)
        statuses.update(status_of(connection.recv(4096)) for connection in ready(waiting))
        for connection in waiting:
            connection.close()
        wait_until_no_stream_is_left(server)
    assert statuses[400] > 100
    assert not {status for status in statuses if status >= 500}


def wait_until_no_stream_is_left(server: ServerProcess) -> None:
    end = time.monotonic() + 20
    while b'aiohooks_streams{deployment="colours"} 0' not in server.request("GET", "/metrics")[1]:
        assert time.monotonic() < end
        time.sleep(0.01)


def changed(request: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 4)):
        where = chance.randrange(min(len(request), 250))
        match chance.randrange(4):
            case 0:
                request[where] = chance.randrange(256)
            case 1:
                del request[where : where + chance.randint(1, 20)]
            case 2:
                request[where:where] = chance.choice([b"\r\n", b"\0", b"\xff" * 5, b":", b" ", b"9" * 20])
            case 3:
                request[where] = 0x80 | request[where]
    return request


def ready(connections: list[socket.socket]) -> set[socket.socket]:
    """Those that answer or close within a quarter of a second; the others are asked for more."""
    answering: set[socket.socket] = set()
    end = time.monotonic() + 0.25
    while len(answering) < len(connections) and (left := end - time.monotonic()) > 0:
        answering.update(select.select([one for one in connections if one not in answering], [], [], left)[0])
    return answering


def test_random_json(server: ServerProcess) -> None:
    """No 500, whatever JSON comes in place of what is expected."""
    chance = random.Random(1)
    words = [
        "inputs",
        "outputs",
        "name",
        "shape",
        "datatype",
        "data",
        "parameters",
        "state",
        "settings",
        "image_id",
        "pixels",
        "BYTES",
        "id",
    ]

    def value(depth: int) -> object:
        match chance.randrange(9 if depth else 6):
            case 0:
                return chance.choice([None, True, False])
            case 1:
                return chance.choice([0, -1, 1, 2**31, 2**63, 2**70, -(2**63)])
            case 2:
                return chance.choice([0.5, 1e300, -1e-300])
            case 3 | 4:
                return chance.choice([*words, "", "é\0", "x" * 1000])
            case 5:
                return [chance.randint(0, 255) for _ in range(chance.randint(0, 12))]
            case 6:
                return [value(depth - 1) for _ in range(chance.randint(0, 4))]
            case _:
                return {chance.choice(words): value(depth - 1) for _ in range(chance.randint(0, 5))}

    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    stream = connection.makefile("rb")
    for number in range(1500):
        good = {"name": "pixels", "shape": [2, 2, 3], "datatype": "UINT8", "data": [0] * 12}
        message = (
            value(4)
            if number % 3
            else {"inputs": [good | {chance.choice(words): value(2)}], chance.choice(words): value(2)}
        )
        body = json.dumps(message).encode()
        path = chance.choice(
            [
                OPEN_INFER,
                "/v2/models/colours.tensors/infer",
                "/inference_image_id",
                "/get_model_meta",
                "/inference_video_id_async",
                "/inference_batch_ids",
                "/pop_inference_results",
            ]
        )
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        status = int(stream.readline().split()[1])
        length = 0
        while line := stream.readline().strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        answer = stream.read(length)
        assert status < 500, (path, body, answer)
    connection.close()
