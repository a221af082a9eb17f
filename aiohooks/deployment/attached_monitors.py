"""The monitors of a deployment."""

from aiohooks.deployment.frame_model import FrameModel
from aiohooks.deployment.life_cycle import LifeCycle
from aiohooks.errors import DeploymentError, SpecError
from aiohooks.monitor import AttachedMonitor, Monitor


class AttachedMonitors:
    """Monitors that see every prediction of a deployment.

    Args:
        name: of the deployment.
        life: of the deployment.

    Attributes:
        shown: the monitors, in the order in which they were attached.
    """

    def __init__(self, name: str, life: LifeCycle) -> None:
        self.shown: tuple[AttachedMonitor, ...] = ()
        self._name = name
        self._life = life

    def attach(self, monitor: Monitor) -> AttachedMonitor:
        """Attach a monitor.

        Raises:
            DeploymentError: the deployment is closed.
            SpecError: it is not a monitor, or the model, if it is open, does not give what the monitor needs.
        """
        if self._life.is_ending:
            raise DeploymentError(f"deployment {self._name} is {self._life.state}; it takes no more monitors")
        if isinstance(monitor, type) or not all(
            callable(getattr(monitor, name, None)) for name in ("attached", "observe")
        ):
            raise SpecError(f"attach takes a monitor, such as an OODModel, got {monitor!r}")
        if self._life.state == "open":
            monitor.attached(self._life.model.describe())
        attached = AttachedMonitor(monitor)
        self.shown = (*self.shown, attached)
        return attached

    def detach(self, monitor: Monitor | AttachedMonitor) -> None:
        """Take a monitor away.

        Raises:
            DeploymentError: it is not attached.
        """
        left = tuple(one for one in self.shown if one is not monitor and one.monitor is not monitor)
        if len(left) == len(self.shown):
            raise DeploymentError(f"{monitor!r} is not attached to deployment {self._name}")
        self.shown = left

    def introduce(self, model: FrameModel) -> None:
        """Tell every monitor what model it will see the predictions of.

        Raises:
            SpecError: the model does not give what a monitor needs.
        """
        for one in self.shown:
            one.monitor.attached(model.describe())
