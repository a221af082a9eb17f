"""The Open Inference Protocol (KServe v2) on the wire: tensors and messages, as bytes and back.

Sources: https://github.com/kserve/open-inference-protocol, and Triton's extension for binary tensor data
(https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md).
"""

from aiohooks.open_inference.message import (
    JSON_LENGTH_HEADER,
    InferAnswer,
    InferRequest,
    OutputWish,
    read_answer,
    read_request,
    write_answer,
    write_request,
)
from aiohooks.open_inference.metadata import ModelMetadata, TensorMetadata, checked_url
from aiohooks.open_inference.tensor import DTYPES, Tensor, TensorError, datatype_of

__all__ = [
    "DTYPES",
    "JSON_LENGTH_HEADER",
    "InferAnswer",
    "InferRequest",
    "ModelMetadata",
    "OutputWish",
    "Tensor",
    "TensorError",
    "TensorMetadata",
    "checked_url",
    "datatype_of",
    "read_answer",
    "read_request",
    "write_answer",
    "write_request",
]
