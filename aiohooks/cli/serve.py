"""``aiohooks serve``: deployments on the network, until Ctrl-C or SIGTERM."""

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio
import msgspec

from aiohooks.cli.arguments import MODEL_HELP, add_model_options, model_options, seconds, whole_number
from aiohooks.cli.command import Command, UsageError
from aiohooks.cli.log_lines import handled_by, shown_logs
from aiohooks.cli.monitors import Monitors, add_monitor_options
from aiohooks.cli.progress import say
from aiohooks.cli.saved_hooks import saved_hook_file
from aiohooks.cli.signals import REASONS, watched
from aiohooks.deployment import Deployment
from aiohooks.hooks.saved import load_hooks

if TYPE_CHECKING:
    from aiohooks.server.limits import Limits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.usage = "aiohooks serve [OPTIONS] MODEL [MODEL ...]"
    parser.epilog = (
        "Speaks Supervisely's inference protocol, the Open Inference Protocol (KServe v2) and its own, see docs/serving.md. Ctrl-C"
        " or SIGTERM ends it: what was accepted is answered, hooks finish; a second one ends at once."
    )
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help=f"{MODEL_HELP}; NAME=MODEL serves it under another name"
    )
    add_model_options(parser)
    network = parser.add_argument_group("network")
    network.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    network.add_argument(
        "--port",
        type=whole_number(0),
        default=8000,
        help="port to listen at, 0 for any that is free (default: %(default)s)",
    )
    network.add_argument(
        "--token-env",
        metavar="NAME",
        help="environment variable with the token that clients must send; needed unless only this machine is served",
    )
    network.add_argument(
        "--allowed-host",
        action="append",
        metavar="NAME",
        help="name that the server goes by, without port; may be repeated (default: any with a token, else this machine's)",
    )
    network.add_argument("--no-live", action="store_true", help="serve no page that shows the models at work")
    network.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a limit of aiohooks.server.Limits, such as pixels=20000000 or waiting=32; may be repeated",
    )
    network.add_argument(
        "--access-log",
        choices=("text", "json", "off"),
        default="text",
        help="a line for each request on standard error (default: %(default)s)",
    )
    media = parser.add_argument_group("media")
    media.add_argument(
        "--media",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="folder whose pictures and videos clients may ask for by id; may be repeated",
    )
    media.add_argument(
        "--allow-url-fetch",
        action="store_true",
        help="fetch pictures from the URLs that clients name, on public addresses",
    )
    media.add_argument(
        "--url-host",
        action="append",
        metavar="HOST",
        help="fetch pictures from URLs of this host only, wherever it is; may be repeated",
    )
    hooks = parser.add_argument_group("hooks")
    hooks.add_argument("--hooks", metavar="FILE", help="JSON file with hooks to run on what every model sees")
    hooks.add_argument(
        "--saved-hooks",
        action="store_true",
        help="run the hooks that are saved in the folders of the deployments; without this they are left out",
    )
    add_monitor_options(parser)
    hooks.add_argument(
        "--drain-timeout",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long requests, and then hooks, may go on at the end (default: %(default)g)",
    )


async def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from aiohooks.server import create_app, serve  # with aiohttp
    from aiohooks.server.access import is_loopback

    if args.token_env is None and args.host != "localhost" and not is_loopback((args.host,)):
        raise UsageError(
            f"--host {args.host} lets other machines in, which takes a token: --token-env NAME, of an environment variable that holds it"
        )
    limits = _limits(args.limit)
    ended = anyio.Event()

    def end(number: Signals) -> None:
        say(f"{REASONS[number]}: what was accepted is answered first; Ctrl-C again ends at once")
        ended.set()

    with shown_logs(say), _access_log(args.access_log), watched(end):
        paths = _paths(args.models)
        monitors = Monitors(args, list(paths))
        deployments = _deployments(args, paths, monitors)
        app = create_app(
            deployments,
            token_env=args.token_env,
            hosts=args.allowed_host,
            limits=limits,
            media=args.media,
            allow_url_fetch=args.url_host or args.allow_url_fetch,
            live=not args.no_live,
        )
        async with (
            monitors.attached(deployments),
            serve(app, args.host, args.port, drain_seconds=args.drain_timeout) as (host, port),
        ):
            place = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            say(f"serving at {place}")
            for name in deployments:
                say(f"  {name}: {place}/deployments/{quote(name)}")
            if not args.no_live:
                say(f"at work, in a browser: {place}/")
            await ended.wait()
    return 0


def _paths(models: Sequence[str]) -> dict[str, str]:
    """Return the names of the models, and where they lie."""
    paths: dict[str, str] = {}
    for given in models:
        name, path = _name_and_path(given)
        name = name or Deployment.load(path, hooks=False).name
        if name in paths:
            raise UsageError(f"two models are called {name}; give one another name: NAME={path}")
        paths[name] = path
    return paths


def _deployments(args: argparse.Namespace, paths: Mapping[str, str], monitors: Monitors) -> dict[str, Deployment]:
    hooks = load_hooks(args.hooks) if args.hooks is not None else ()
    deployments: dict[str, Deployment] = {}
    for name, path in paths.items():
        options = model_options(args)
        if name in monitors and options["features"] == "auto":
            options["features"] = True
        deployment = Deployment.load(path, **options, hooks=args.saved_hooks, drain_timeout=args.drain_timeout)
        if not args.saved_hooks and (file := saved_hook_file(path)) is not None:
            say(f"the hooks in {file} are left out; --saved-hooks runs them")
        for hook in hooks:
            deployment.add_hook(hook)
        deployments[name] = deployment
    return deployments


def _name_and_path(given: str) -> tuple[str, str]:
    name, equals, path = given.partition("=")
    return (name, path) if equals and name and not Path(given).exists() else ("", given)


def _limits(given: Sequence[str]) -> "Limits":
    from aiohooks.server.limits import Limits

    values = dict(text.partition("=")[::2] for text in given)
    if unknown := values.keys() - set(Limits.__struct_fields__):
        raise UsageError(f"--limit {min(unknown)}: there is none; there are: {', '.join(Limits.__struct_fields__)}")
    try:
        return msgspec.convert(values, Limits, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"--limit: {error}") from error


@contextmanager
def _access_log(form: str) -> Iterator[None]:
    """Write what is logged about each request to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(form))
    with handled_by(handler, "aiohooks.server.access", logging.WARNING if form == "off" else logging.INFO):
        yield


class _Lines(logging.Formatter):
    def __init__(self, form: str) -> None:
        super().__init__()
        self._is_json = form == "json"

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        if self._is_json:
            return msgspec.json.encode({"time": time, **vars(record)["request"]}).decode()
        return f"{time} {record.getMessage()}"


COMMAND = Command("serve", "put models on the network", add_arguments, run)
