"""``aiohooks spool``: look into a spool; replay, export or purge what it holds."""

import argparse
import sys
from pathlib import Path

import anyio.to_thread

from aiohooks.cli.command import Command, UsageError
from aiohooks.cli.json_text import json_text
from aiohooks.cli.log_lines import shown_logs
from aiohooks.cli.progress import say
from aiohooks.delivery.export import export_item
from aiohooks.delivery.inspection import Inspection, check_spool, inspect
from aiohooks.delivery.spool import Spool
from aiohooks.text_table import printable, table

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    status = _add(actions, "status", "show what a spool holds, also while a process is using it")
    replay = _add(actions, "replay", "make dead letters ready to be delivered again")
    replay.add_argument("--key", action="append", metavar="KEY", help="only the one with this key; may be repeated")
    export = _add(actions, "export", "write items as files, a payload and its JSON each; the spool keeps them")
    export.add_argument("target", type=Path, metavar="TARGET", help="folder for the files, made if it is not there")
    purge = _add(actions, "purge", "remove items that were not delivered")
    purge.add_argument("--yes", action="store_true", help="really do: what is removed cannot be brought back")
    for one in (export, purge):
        one.add_argument("--dead", action="store_true", help="only dead letters")
    for one in (status, replay, export, purge):
        one.add_argument("--json", action="store_true", help="write what was found or done as JSON")


async def run(args: argparse.Namespace) -> int:
    """Run the command."""
    with shown_logs(say):
        if args.action == "status":
            found = await anyio.to_thread.run_sync(inspect, args.folder)
            print(json_text(found) if args.json else "\n".join(sheet(found)))
            return 0
        if args.action == "purge" and not args.yes:
            what = "dead letters" if args.dead else "items, delivered or not,"
            raise UsageError(f"purge removes all {what} in {args.folder} for good; add --yes to do that")
        check_spool(args.folder)
        async with Spool(str(args.folder)).open() as store:
            if args.action == "replay":
                done = await store.replay(args.key)
            elif args.action == "purge":
                done = await store.purge(dead_only=args.dead)
            else:
                done = 0
                async for stored in store.items(dead_only=args.dead):
                    await anyio.to_thread.run_sync(export_item, args.target, stored)
                    done += 1
    told = {"replay": "replayed", "purge": "purged", "export": "exported"}[args.action]
    if args.json:
        print(json_text({told: done}))
    else:
        print(f"{told} {done:,} {'item' if done == 1 else 'items'}")
    if args.action == "replay" and args.key and done < len(set(args.key)):
        print(f"aiohooks spool: {len(set(args.key)) - done:,} of the keys have no dead letter here", file=sys.stderr)
        return 1
    return 0


def sheet(found: Inspection) -> list[str]:
    """Return what is in a spool's folder as lines."""
    status = found.status
    lost = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in sorted(status.lost.items()) if count)
    rows = [
        ("folder", found.folder),
        ("owner", str(found.owner or "nobody")),
        ("waiting", f"{status.ready:,}{_since(status.oldest_seconds)}"),
        ("in hand", f"{status.leased:,}"),
        ("dead letters", f"{status.dead:,}{_since(found.oldest_dead_seconds)}"),
        ("on disk", f"{status.nbytes:,} bytes"),
        ("accepted", f"{status.accepted:,}"),
        ("delivered", f"{status.delivered:,}"),
        ("lost", lost or "none"),
    ]
    if found.corrupt:
        rows.append(("in quarantine", f"{found.corrupt:,} files that are not what was written"))
    return [printable(line) for line in table(rows)]


def _since(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in _UNITS:
        if seconds >= size:
            return f", the oldest for {seconds / size:.1f} {unit}"
    return f", the oldest for {seconds:.0f} s"


def _add(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the spool's folder")
    return parser


COMMAND = Command("spool", "look into a spool; replay, export or purge what it holds", add_arguments, run)
