"""A client of Intel Geti, the server that trains the models."""

from aiohooks.clients.geti.answers import (
    Dataset,
    OptimizedModel,
    Picture,
    ProductInfo,
    Project,
    ProjectLabel,
    Task,
    TrainedModel,
)
from aiohooks.clients.geti.client import GetiClient, Progress

__all__ = [
    "Dataset",
    "GetiClient",
    "OptimizedModel",
    "Picture",
    "ProductInfo",
    "Progress",
    "Project",
    "ProjectLabel",
    "Task",
    "TrainedModel",
]
