"""Where a Geti server is and how its token is kept from sight."""

import copy
import json
import logging
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.clients.geti import dotenv
from aiohooks.clients.geti.addresses import API, page_path, path_of
from aiohooks.clients.geti.server import (
    GetiServer,
    normalised_host,
    server_from_environment,
    server_from_file,
    to_bool,
)
from aiohooks.clients.token import Token
from aiohooks.errors import SessionError, SpecError

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
SECRET = "s3cr3t"


@given(st.dictionaries(NAMES, VALUES))
def test_quoted_values_come_back_as_they_were(values: dict[str, str]) -> None:
    double = "\n".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    assert dotenv.parse(double) == values
    single = "\n".join(f"export {name} = '{value}' # why" for name, value in values.items() if "'" not in value)
    assert dotenv.parse(single) == {name: value for name, value in values.items() if "'" not in value}


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        values = dotenv.parse(text)
    except ValueError:
        return
    assert all(name.isascii() and "\n" not in name for name in values)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  A =  b c  ", "b c"),
        ("A=", ""),
        ("A=''", ""),
        ("A=b#c", "b#c"),
        ("A=b # c", "b"),
        ("A= # c", ""),
        ("A='b # c'", "b # c"),
        ('A="b\\n\\"c\\" \\\\ \\x"', 'b\n"c" \\ x'),
        ("A='b\\n'", "b\\n"),
        ("A=https://host:1/?a=b", "https://host:1/?a=b"),
        ("A=it's", "it's"),
        ("\ufeffA=b", "b"),
        ("A=a\nA=b\r\n", "b"),
        ("# A=c\n\n   # d\nA=${B}", "${B}"),
    ],
)
def test_forms_of_lines(line: str, value: str) -> None:
    assert dotenv.parse(line) == {"A": value}


@pytest.mark.parametrize("line", [SECRET, f"1A={SECRET}", f"A='{SECRET}", f'A="{SECRET}" x', f"TOKEN: {SECRET}"])
def test_a_line_that_is_none_is_named_by_its_number_alone(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 is not NAME=value") as caught:
        dotenv.parse(f"A=b\n{line}")
    assert SECRET not in str(caught.value)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HOST", "TOKEN", "VERIFY_CERT", "HTTPS_PROXY"):
        monkeypatch.delenv(f"GETI_{name}", raising=False)
    return monkeypatch


def test_details_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GETI_HOST", "geti.example.com/")
    environment.setenv("GETI_TOKEN", SECRET)
    server = server_from_environment()
    assert (server.host, server.token.reveal(), server.verify_certificate, server.proxy) == (
        "https://geti.example.com", SECRET, True, None,
    )  # fmt: skip
    environment.setenv("GETI_VERIFY_CERT", "False")
    environment.setenv("GETI_HTTPS_PROXY", "http://me:pass@proxy:900")
    server = server_from_environment()
    assert (server.verify_certificate, server.proxy) == (False, "http://me:pass@proxy:900")
    assert "pass" not in repr(server)


@pytest.mark.parametrize("prefix", ["", "GETI_"])
def test_details_come_from_a_file_and_only_from_there(
    environment: pytest.MonkeyPatch, tmp_path: Path, prefix: str
) -> None:
    environment.setenv("GETI_TOKEN", "of the environment")
    environment.setenv("GETI_HOST", "https://elsewhere")
    path = tmp_path / ".env"
    path.write_text(f"{prefix}HOST=https://geti:8443\n{prefix}TOKEN='{SECRET}'\n{prefix}VERIFY_CERT=0\n")
    server = server_from_file(path)
    assert (server.host, server.token.reveal(), server.verify_certificate) == ("https://geti:8443", SECRET, False)
    path.write_text(f"{prefix}HOST=https://geti:8443\nUSERNAME=me\nPASSWORD=x\n")
    with pytest.raises(SpecError, match=r"\.env does not set TOKEN: a personal access token .*passwords do not work"):
        server_from_file(path)


def test_what_is_missing_or_wrong_is_named(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the environment does not set GETI_HOST"):
        server_from_environment()
    environment.setenv("GETI_HOST", "https://geti")
    with pytest.raises(SpecError, match="the environment does not set GETI_TOKEN"):
        server_from_environment()
    environment.setenv("GETI_TOKEN", SECRET)
    environment.setenv("GETI_VERIFY_CERT", "maybe")
    with pytest.raises(SpecError, match="GETI_VERIFY_CERT: expected true or false, got 'maybe'"):
        server_from_environment()
    with pytest.raises(SpecError, match=r"none\.env: .*No such file"):
        server_from_file(tmp_path / "none.env")
    (tmp_path / "bad.env").write_bytes(b"TOKEN=\xff")
    with pytest.raises(SpecError, match=r"bad\.env: this is not text"):
        server_from_file(tmp_path / "bad.env")
    (tmp_path / "bad.env").write_text(f"TOKEN {SECRET}")
    with pytest.raises(SpecError, match=r"bad\.env: line 1 is not NAME=value") as caught:
        server_from_file(tmp_path / "bad.env")
    assert SECRET not in str(caught.value)


def test_flags() -> None:
    assert [to_bool("X", word) for word in ("True", "1", "t", "YES", " on ")] == [True] * 5
    assert [to_bool("X", word) for word in ("False", "0", "f", "no", "OFF")] == [False] * 5


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("geti.local", "https://geti.local"),
        (" https://geti.local/ ", "https://geti.local"),
        ("GETI.local:8443", "https://geti.local:8443"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:8", "http://[::1]:8"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_hosts_in_one_form(text: str, host: str) -> None:
    assert normalised_host(text) == host
    assert normalised_host(host) == host


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://geti.local", "use https://geti.local; over http anybody"),
        ("http://100.64.0.1", "use https://"),
        ("http://localhost.evil.com", "use https://"),
        ("", "expected https://host"),
        ("https://", "expected https://host"),
        ("ftp://geti", "expected https://host"),
        ("https://geti/api/v1", "expected only https://host"),
        ("https://geti?token=1", "expected only https://host"),
        (f"https://me:{SECRET}@geti", "expected only https://host, got more than https://geti;"),
        (f"https://me:pa/{SECRET}@geti", "this is no address"),
        (f"https://geti:{SECRET}", "this is no address"),
        (f"https://geti?token={SECRET}", "expected only https://host"),
        (f"https://geti#{SECRET}", "expected only https://host"),
        ("https://[", "this is no address"),
        ("https://a b", "expected https://host"),
    ],
)
def test_other_hosts_are_refused(text: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem) as caught:
        normalised_host(text)
    assert SECRET not in str(caught.value)


@given(st.text())
def test_a_host_is_an_origin_or_refused(text: str) -> None:
    try:
        host = normalised_host(text)
    except SpecError:
        return
    assert host.count("/") == 2
    assert host.startswith(("https://", "http://127.", "http://localhost", "http://[::1]"))
    assert normalised_host(host) == host


def test_a_token_shows_itself_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    token = Token("the test", f" {SECRET}\n")
    server = GetiServer("https://geti", token)
    caplog.set_level(logging.DEBUG)
    logging.getLogger().debug("%s %r", server, token)
    assert SECRET not in f"{token} {token!r} {server} {server!r} {caplog.text}"
    assert token.reveal() == SECRET
    assert token.hide(f"a {SECRET} b {SECRET}") == "a [token] b [token]"
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not written anywhere"):
            write(server)


@pytest.mark.parametrize("value", ["", "  ", "a\nb", "a\r\nx-other: 1", "ä", "a\0"])
def test_a_token_that_cannot_be_sent_is_refused(value: str) -> None:
    with pytest.raises(SpecError, match="the token in the test"):
        Token("the test", value)


@given(st.lists(st.text(min_size=1), min_size=1))
def test_no_id_leads_out_of_its_place(steps: list[str]) -> None:
    if any(step in (".", "..") for step in steps) or any("\ud800" <= letter <= "\udfff" for letter in "".join(steps)):
        return
    path = path_of(*steps)
    assert path.count("/") == len(steps) - 1
    assert not set("?# \n\\") & set(path)


@pytest.mark.parametrize("step", ["", ".", ".."])
def test_what_is_no_id_is_refused(step: str) -> None:
    with pytest.raises(SessionError, match="is not the id of anything"):
        path_of("projects", step)


HOST = "https://geti:8443"


@pytest.mark.parametrize(
    "address", ["/api/v1/a/media:query?limit=1&skip=2", f"{HOST}/api/v1/a/media:query?limit=1&skip=2"]
)
def test_the_next_page_is_a_path_on_the_same_host(address: str) -> None:
    assert page_path(address, HOST) == "a/media:query?limit=1&skip=2"


@pytest.mark.parametrize(
    "address",
    [
        "https://evil/api/v1/a", "//evil/api/v1/a", "https://geti/api/v1/a", "http://geti:8443/api/v1/a", "https://me@geti:8443/api/v1/a",
        "/other", "api/v1/a", "/api/v1/../../other", "/api/v1/%2e%2e/x", "", "javascript:1", "https://geti:8443@evil/api/v1/a",
    ],
)  # fmt: skip
def test_a_next_page_elsewhere_is_not_asked_for(address: str) -> None:
    with pytest.raises(ValueError, match=r"leads to|is not part of"):
        page_path(address, HOST)


@given(st.text())
def test_any_next_page_stays_below_the_interface(address: str) -> None:
    try:
        path = page_path(address, HOST)
    except ValueError:
        return
    assert API + path.split("?")[0] in address
