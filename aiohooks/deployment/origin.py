"""What a deployment was loaded from, and how it is saved again."""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import anyio

from aiohooks.deployment.life_cycle import LifeCycle
from aiohooks.hooks.deployment_folder import hook_files
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.inference.geti_export import copy_project, export_model, save_folder
from aiohooks.inference.geti_folder import GetiProject

if TYPE_CHECKING:
    import openvino as ov

logger = logging.getLogger("aiohooks")


class Origin(NamedTuple):
    """What a deployment was loaded from.

    Attributes:
        source: a project, as read from its folder; or a model file, or a model in memory.
        parameters: that it was loaded with.
        features: that it was loaded with.
        with_hooks: whether the hooks that are saved in its folder were attached.
    """

    source: "GetiProject | str | os.PathLike[str] | ov.Model"
    parameters: Mapping[str, Any]
    features: Literal[True] | str
    with_hooks: bool

    async def save(
        self,
        folder: Path,
        *,
        name: str,
        life: LifeCycle,
        hooks: Sequence[PostInferenceHook] | None,
        overwrite: bool,
    ) -> Path:
        """Write a deployment folder; see `Deployment.save`.

        Args:
            folder: where to.
            name: of the deployment.
            life: of the deployment; a single model is described by what is open.
            hooks: to be saved; None to leave alone those that the folder has.
            overwrite: replace a deployment that is there.
        """
        beside = hook_files(hooks) if hooks is not None and (hooks or self.with_hooks) else {}
        if isinstance(self.source, GetiProject):
            if self.parameters or self.features != "auto":
                what = "parameters" if self.parameters else "features"
                logger.warning("the %s that %s was loaded with are not saved: give them again", what, name)
            source, write = self.source.folder, partial(copy_project, self.source)
        else:
            source, write = (
                None,
                partial(
                    export_model,
                    self.source,
                    description=life.model.describe(),
                    labels=life.model.labels,
                    parameters=self.parameters,
                    features=self.features,
                ),
            )
        return await anyio.to_thread.run_sync(
            partial(save_folder, folder, write, beside, source=source, overwrite=overwrite)
        )
