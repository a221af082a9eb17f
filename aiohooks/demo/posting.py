"""Pictures posted to an app that answers with predictions."""

import aiohttp
import anyio

from aiohooks.demo.assets import ASTRONAUT, COFFEE
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar


async def post_pictures(url: str) -> None:
    """Post two pictures and what is none to a URL, and print the status and the body of each answer."""
    with progress_bar() as progress:
        pictures = await fetch([COFFEE, ASTRONAUT], progress=progress)
    async with aiohttp.ClientSession() as client:
        for body in [*[await anyio.Path(picture).read_bytes() for picture in pictures], b"not a picture"]:
            async with client.post(url, data=body) as answer:
                print(answer.status, await answer.text())
