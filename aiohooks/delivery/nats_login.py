"""Who we are to a NATS server, from an environment variable."""

import importlib.util
import os
import re
from pathlib import Path

from nats.aio.client import RawCredentials

from aiohooks.errors import DeliveryError

_SEED = re.compile(r"SU[A-Z2-7]{56}")


def login(variable: str | None) -> dict[str, object]:
    """Return the arguments of nats-py's ``connect`` that tell a server who we are.

    Args:
        variable: name of the environment variable; None for a server that asks nobody.

    Raises:
        DeliveryError: it is not set or empty, or names a file that is not there.
    """
    if variable is None:
        return {}
    text = os.environ.get(variable, "").strip()
    if not text:
        raise DeliveryError(f"the environment variable {variable} is not set; NatsSpool.credentials_variable names it")
    if "BEGIN NATS USER JWT" in text:
        return _signed(variable, user_credentials=RawCredentials(text))
    if text.endswith(".creds"):
        if not Path(text).is_file():
            raise DeliveryError(f"the environment variable {variable} names a .creds file that is not there")
        return _signed(variable, user_credentials=text)
    if _SEED.fullmatch(text):
        return _signed(variable, nkeys_seed_str=text)
    user, colon, password = text.partition(":")
    return {"user": user, "password": password} if colon else {"token": text}


def _signed(variable: str, **arguments: object) -> dict[str, object]:
    if importlib.util.find_spec("nkeys") is None:
        raise DeliveryError(
            f'the credentials in {variable} need nkeys, which is not installed: pip install "nats-py[nkeys]"'
        )
    return arguments
