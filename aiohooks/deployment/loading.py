"""How a deployment comes by its model: from a file, a folder or a server. Nothing is compiled or asked of a server here."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohooks.annotation import Label
from aiohooks.deployment.frame_model import ModelOpener
from aiohooks.errors import LoadError, SpecError
from aiohooks.hooks.deployment_folder import FolderHooks, load_folder_hooks
from aiohooks.inference.decoder import Decoder
from aiohooks.inference.geti_folder import PROJECT_FILE, GetiProject, read_project
from aiohooks.inference.model import open_model
from aiohooks.inference.project_loading import open_project
from aiohooks.inference.remote_model import Prepare, RemoteOptions, RemoteServer

if TYPE_CHECKING:
    import openvino as ov


class Found(NamedTuple):
    """What was found where a deployment is to be loaded from.

    Attributes:
        name: for the deployment.
        source: a project, as read from its folder; or the model file or the model that was given.
        open_model: makes the model.
        hooks: those that are saved in the folder.
    """

    name: str
    source: "GetiProject | str | os.PathLike[str] | ov.Model"
    open_model: ModelOpener
    hooks: FolderHooks | None


def find(
    path: "str | os.PathLike[str] | ov.Model",
    *,
    about_a_model: Mapping[str, Any],
    options: Mapping[str, Any],
    hooks: bool,
) -> Found:
    """Find out what is at a path.

    Args:
        path: a model file, a model in memory, or the folder of a Geti deployment.
        about_a_model: arguments that tell what a model is, of which a folder takes none.
        options: arguments that both take.
        hooks: read the hooks that are saved in a folder.

    Raises:
        SpecError: the saved hooks cannot be read, or ``hooks`` is neither True nor False.
        LoadError: there is no such file or folder, it is not what can be loaded, or an argument is given that a folder does not take.
    """
    if not isinstance(hooks, bool):
        raise SpecError(
            f"load: hooks says whether to attach those that are saved, True or False, got {hooks!r}; add_hook takes yours"
        )
    if not isinstance(path, (str, os.PathLike)):
        if not hasattr(path, "get_friendly_name"):
            raise LoadError(f"a model is loaded from a path, or is an openvino.Model, got {path!r}")
        return Found(path.get_friendly_name(), path, partial(open_model, path, **about_a_model, **options), None)
    if Path(path).is_dir():
        project = read_project(path)
        if unwanted := [keyword for keyword, value in about_a_model.items() if value is not None]:
            raise LoadError(
                f"{path}: {', '.join(unwanted)} cannot be given for a Geti deployment, which says it in {PROJECT_FILE} and the "
                "models; leave it out, or load a model file from a task's folder"
            )
        saved = _saved_hooks(project.folder) if hooks else None
        return Found(project.name, project, partial(open_project, project, **options), saved)
    if not Path(path).exists():
        raise LoadError(
            f"{path}: there is no such file or folder"
            + ("" if Path(path).is_absolute() else f" in the working directory, {Path.cwd()}")
        )
    return Found(Path(path).stem, path, partial(open_model, path, **about_a_model, **options), None)


def find_remote(
    url: str,
    model: str,
    *,
    like: "str | os.PathLike[str] | ov.Model | None",
    decoder: Decoder | None,
    prepare: Prepare | None,
    labels: Sequence[str | Label],
    token_env: str | None,
    timeout: float,
    max_requests: int,
    load: Mapping[str, Any],
) -> ModelOpener:
    """Return what connects to a model on a server; for the arguments see `Deployment.remote`.

    Raises:
        SpecError: the URL is not one, the environment variable is not set, or arguments do not go together.
    """
    if like is not None and (decoder is not None or prepare is not None):
        raise SpecError("remote: give like, the model's file, or decoder and prepare")
    if (decoder is None) != (prepare is None):
        raise SpecError(
            "remote: decoder and prepare belong together: one makes the inputs, the other reads the outputs"
        )
    if like is None and load:
        hint = "; the token is taken from an environment variable, token_env='NAME'" if "token" in load else ""
        raise SpecError(f"remote without like takes no {', '.join(sorted(load))}{hint}")
    token = None if token_env is None else os.environ.get(token_env)
    if token_env is not None and not token:
        raise SpecError(f"token_env: the environment variable {token_env} is not set; set it to the server's token")
    table = tuple(label if isinstance(label, Label) else Label(name=label) for label in labels)
    options = RemoteOptions(model, like, load, decoder, prepare, table, max_requests)
    return partial(RemoteServer(url, token, timeout, max_requests).open, options)


def _saved_hooks(folder: Path) -> FolderHooks | None:
    try:
        return load_folder_hooks(folder)
    except SpecError as error:
        raise SpecError(f"{error}. With hooks=False the deployment is loaded without them") from error.__cause__
