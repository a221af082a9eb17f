"""The package is a house: files may use what is on their own floor or below, and no two use each other."""

import ast
from functools import cache
from pathlib import Path

import aiohooks

PACKAGE = Path(aiohooks.__file__).parent

FLOORS = [
    (
        "errors",
        "array_file",
        "atomic_file",
        "atomic_folder",
        "backoff",
        "completions",
        "fields",
        "file_name",
        "histogram",
        "html_page",
        "metric_family",
        "one_error",
        "one_thread",
        "rate",
        "task_owner",
        "text_table",
        "open_inference",
    ),
    ("frame", "annotation", "charts"),
    ("shapes",),
    ("drawing",),
    ("prediction",),
    ("delivery",),
    ("clients",),
    ("sources", "inference", "hooks"),
    ("monitor",),
    ("deployment",),
    ("monitors",),
    ("server",),
    ("demo",),
    ("cli",),
]
STRANGERS = [
    ("hooks", "inference"),
    ("inference", "hooks"),
    ("hooks.triggers", "hooks.actions"),
    ("sources", "prediction"),
]


@cache
def modules() -> dict[str, set[str]]:
    """Every module of the package with the modules of the package that it imports, wherever in the file."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE).with_suffix("")
        names[".".join(relative.parts).removesuffix(".__init__")] = path
    found = {}
    for name, path in names.items():
        imported: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} imports relatively"
                imported.add(node.module or "")
                imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        inside = {target.removeprefix("aiohooks.") for target in imported if target.startswith("aiohooks.")}
        found[name] = {target for target in inside if target in names and target != name}
    return found


def under(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")


def floor(module: str) -> int:
    for height, rooms in enumerate(FLOORS):
        if any(under(module, room) for room in rooms):
            return height
    raise AssertionError(f"aiohooks.{module} has no floor: say in FLOORS where it belongs")


def test_imports_only_go_down() -> None:
    for module, imported in modules().items():
        if module not in ("__init__", "__main__"):
            for target in imported:
                assert floor(target) <= floor(module), f"{module} imports {target}, which is above it"


def test_strangers_do_not_know_each_other() -> None:
    for module, imported in modules().items():
        for one, other in STRANGERS:
            if under(module, one):
                assert not any(under(target, other) for target in imported), f"{module} knows {other}"


def test_no_circles() -> None:
    graph = modules()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join((*trail, module))
        if module not in done:
            for target in graph[module]:
                # A package and the modules in it are one thing to Python, but an __init__ only gathers names.
                if not under(module, target):
                    walk(target, (*trail, module))
            done.add(module)

    done: set[str] = set()
    for module in graph:
        walk(module, ())


def test_nothing_is_unpickled_or_run() -> None:
    """What comes from a file or over the network is data: no module can make code of it."""
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "runpy", "code"}
    calls = {"eval", "exec", "execfile", "__import__"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    found = {name.name.partition(".")[0] for name in names} & forbidden
                case ast.ImportFrom(module=str(module)):
                    found = {module.partition(".")[0]} & forbidden
                case ast.Call(func=ast.Name(id=name)):
                    found = {name} & calls
                case ast.keyword(arg="allow_pickle", value=ast.Constant(value=value)):
                    found = {"allow_pickle"} if value else set()
                case _:
                    continue
            assert not found, f"{path.relative_to(PACKAGE)}: {found}"
