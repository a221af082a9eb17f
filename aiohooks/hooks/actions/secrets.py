"""Secrets are named in a configuration, ``${ENV_NAME}``, and looked up in the environment when they are needed."""

import os
import re
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote_plus, urlsplit, urlunsplit

from aiohooks.errors import ActionError, SpecError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

# `author` and `keyword` are no secrets; `sig` and `code` are how Azure calls those in the URL of a webhook.
_SECRET_NAME = re.compile(
    r"auth(?!ors?\b)|\bcode\b|cookie|credential|key(?!word)|passw|pwd|secret|\bsig\b|signature|token", re.IGNORECASE
)


def check_header(where: str, name: str, value: str) -> None:
    """Refuse a header that holds a secret itself; the message, which begins with ``where``, does not show it.

    Raises:
        SpecError: the name says that the value is a secret, and the value names no environment variable.
    """
    _check_variables(where, value)
    if _SECRET_NAME.search(name) and not _VARIABLE.search(value):
        scheme = "Bearer " if name.lower() == "authorization" else ""
        raise SpecError(
            f"{where} must not hold the secret itself: put it into an environment variable and name that, "
            f'"{scheme}${{MY_{_variable_name(name)}}}"'
        )


def check_url(where: str, url: str) -> None:
    """Refuse a URL that holds a secret itself; the message, which begins with ``where``, does not show it.

    Raises:
        SpecError: there is a user name or password, or a query parameter that is called like a secret, and it names no
            environment variable.
    """
    _check_variables(where, url)
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    if at and not _VARIABLE.search(user):
        raise SpecError(
            f"{where} must not hold a user name or password itself: put it into an environment variable and name that, "
            "https://${MY_LOGIN}@host/…, or use a header"
        )
    for name, value in [*parse_qsl(parts.query), *parse_qsl(parts.fragment)]:
        if _SECRET_NAME.search(name) and not _VARIABLE.search(value):
            raise SpecError(
                f"{where} must not hold the secret {name!r} itself: put it into an environment variable and name that, "
                f"?{name}=${{MY_{_variable_name(name)}}}"
            )


def names_variable(text: str) -> bool:
    """Tell whether it names an environment variable."""
    return _VARIABLE.search(text) is not None


def without_secret(name: str, value: str, variable: Callable[[str], str]) -> tuple[str, str | None]:
    """Return a header's value with an environment variable in place of the secret, and that variable.

    Args:
        name: of the header.
        value: returned as it is, with None, if it holds no secret.
        variable: makes the variable's name of what the secret is called.
    """
    if not _SECRET_NAME.search(name) or _VARIABLE.search(value):
        return value, None
    own = variable(_variable_name(name))
    scheme, space, credentials = value.partition(" ")
    keeps_scheme = name.lower().endswith("authorization") and space and scheme.isalnum() and credentials
    return f"{scheme} ${{{own}}}" if keeps_scheme else f"${{{own}}}", own


def without_url_secrets(url: str, variable: Callable[[str], str]) -> tuple[str, list[str]]:
    """Return a URL with environment variables in place of the secrets in it, and these variables.

    Args:
        url: returned as it is if it holds no secret.
        variable: makes a variable's name of what the secret is called.

    Raises:
        SpecError: this is no URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise SpecError("this is not a valid URL") from None
    variables: list[str] = []

    def named(secret: str) -> str:
        variables.append(variable(_variable_name(secret)))
        return f"${{{variables[-1]}}}"

    def safe(match: re.Match[str]) -> str:
        secret = unquote_plus(match[1])
        return (
            f"{match[1]}={named(secret)}"
            if _SECRET_NAME.search(secret) and not _VARIABLE.search(match[2])
            else match[0]
        )

    user, at, host = parts.netloc.rpartition("@")
    if at and not _VARIABLE.search(user):
        parts = parts._replace(netloc=f"{named('login')}@{host}")
    query, fragment = (re.sub(r"([^&=]+)=([^&]+)", safe, text) for text in (parts.query, parts.fragment))
    parts = parts._replace(query=query, fragment=fragment)
    return urlunsplit(parts) if variables else url, variables


class Secrets:
    """Fills in environment variables, and hides again what it filled in."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def fill_in(self, where: str, text: str) -> str:
        """Replace each ``${NAME}`` by the value of the environment variable.

        Raises:
            ActionError: a variable is not set, is empty or holds a line break.
        """

        def value_of(match: re.Match[str]) -> str:
            name = match[1]
            value = os.environ.get(name, "")
            if not value:
                raise ActionError(f"{where}: the environment variable {name} is not set or empty")
            if not value.isprintable():
                raise ActionError(
                    f"{where}: the environment variable {name} holds a line break or another control character"
                )
            self._names[value] = name
            return value

        return _VARIABLE.sub(value_of, text)

    def hide(self, text: str) -> str:
        """Replace each value that was filled in by its ``${NAME}``."""
        for value in sorted(self._names, key=len, reverse=True):
            text = text.replace(value, f"${{{self._names[value]}}}")
        return text


def _check_variables(where: str, text: str) -> None:
    if "${" in _VARIABLE.sub("", text):
        raise SpecError(f"{where}: ${{ must begin the name of an environment variable, as in ${{MY_TOKEN}}")


def _variable_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).upper()
