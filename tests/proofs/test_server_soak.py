"""Ten thousand requests with clients that leave at random."""

from pathlib import Path

import pytest
import served
from test_server_life import check_leaving

pytestmark = [pytest.mark.anyio, pytest.mark.proof]


async def test_ten_thousand_requests_leave_nothing_behind(tmp_path: Path) -> None:
    await check_leaving(served.colours(tmp_path), 10_000)
