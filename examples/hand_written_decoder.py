"""Run a model whose outputs no wrapper knows, with a Decoder written by hand.

The model is MediaPipe's BlazeFace, a single-shot detector (SSD) as a .tflite file. Its two outputs are raw: for each
of 896 anchors (places where a face may be) a logit, and how far the face lies from the anchor. What turns them into
faces is `decode` below.

    python examples/hand_written_decoder.py                       # a picture of an astronaut
    python examples/hand_written_decoder.py people.jpg faces.jpg  # your picture, and where to draw the faces
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import cv2
import numpy as np
from numpy.typing import NDArray

import aiohooks as ah
from aiohooks.demo.assets import ASTRONAUT, FACE_DETECTOR
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar

INPUT_SIZE = 128
MIN_SCORE, MAX_OVERLAP = 0.5, 0.3
LABELS = ["face"]

# The centres of a 16×16 grid's cells twice, then those of an 8×8 grid six times; as fractions of the picture.
ANCHORS = np.array(
    [
        ((x + 0.5) / n, (y + 0.5) / n)
        for n, times in ((16, 2), (8, 6))
        for y in range(n)
        for x in range(n)
        for _ in range(times)
    ]
)


def decode(outputs: Mapping[str, NDArray[Any]], frame: ah.Frame) -> ah.Prediction:
    """Turn ``classificators`` (1, 896, 1) and ``regressors`` (1, 896, 16) into faces."""
    scores = 1 / (1 + np.exp(-outputs["classificators"][0, :, 0].clip(-80, 80)))
    found = scores >= MIN_SCORE
    scores = scores[found]

    # x, y, width, height in pixels of the input, then six points of the face; x and y count from the anchor.
    offsets = outputs["regressors"][0, found, :4] / INPUT_SIZE
    centres, sizes = ANCHORS[found] + offsets[:, :2], offsets[:, 2:]
    pixels = [frame.width, frame.height]
    top_left, bottom_right = (centres - sizes / 2) * pixels, (centres + sizes / 2) * pixels

    # Neighbouring anchors find the same face: keep the best of those that overlap.
    boxes = np.concatenate([top_left, bottom_right - top_left], axis=1)
    kept = np.array(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), MIN_SCORE, MAX_OVERLAP), int)

    boxes = np.concatenate([top_left, bottom_right], axis=1)[kept]
    return ah.Prediction.detection((frame.height, frame.width), LABELS, boxes, scores[kept], np.zeros(len(kept), int))


async def main(picture: Path | None, output: Path) -> None:
    with progress_bar() as progress:
        model, astronaut = await fetch([FACE_DETECTOR, ASTRONAUT], progress=progress)

    # How the model wants its pixels: (x - 127.5) / 127.5, stretched to 128×128.
    parameters = {"mean_values": [127.5] * 3, "scale_values": [127.5] * 3, "resize_type": "standard"}
    async with ah.Deployment.load(model, decoder=decode, labels=LABELS, parameters=parameters) as deployment:
        (result,) = await deployment.infer_many([picture or astronaut])
    faces = result.prediction
    print(len(faces) or "no", "face" if len(faces) == 1 else "faces")
    for box, score in zip(faces.boxes, faces.scores, strict=True):
        print(f"{score:.0%} at", *box.round().astype(int))
    cv2.imwrite(str(output), cv2.cvtColor(faces.draw(result.frame), cv2.COLOR_RGB2BGR))
    print(f"drawn in {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Find faces with BlazeFace.")
    parser.add_argument("picture", type=Path, nargs="?", help="a picture of faces (default: an astronaut)")
    parser.add_argument("output", type=Path, nargs="?", default=Path("faces.jpg"), help="where to draw them")
    arguments = parser.parse_args()
    anyio.run(main, arguments.picture, arguments.output)
