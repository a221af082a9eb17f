"""How the outputs of a request become arrays that the next inference does not overwrite."""

from enum import Enum, auto

import numpy as np
import openvino as ov

SMALL_BYTES = 512 * 1024
"""Outputs up to this size together are copied on the event loop, in 50 µs at most: less than what a foreign thread pays,
and takes from the loop, by asking for the interpreter's lock."""


class OutputMemory(Enum):
    """Where the outputs of an inference come from.

    Attributes:
        COPIED_ON_LOOP: small ones are copied once the loop has heard of the completion.
        WRITTEN_IN_PLACE: large ones are written by OpenVINO into arrays made for this inference.
        COPIED_IN_CALLBACK: those whose shape is known only afterwards, or whose type numpy does not have, are copied by
            OpenVINO's thread.
    """

    COPIED_ON_LOOP = auto()
    WRITTEN_IN_PLACE = auto()
    COPIED_IN_CALLBACK = auto()

    @classmethod
    def best_for(cls, compiled_model: ov.CompiledModel) -> "OutputMemory":
        """Return the cheapest way for a model."""
        outputs = compiled_model.outputs
        if any(output.partial_shape.is_dynamic for output in outputs):
            return cls.COPIED_IN_CALLBACK
        if sum(output.tensor.size for output in outputs) <= SMALL_BYTES:
            return cls.COPIED_ON_LOOP
        types = [output.get_element_type() for output in outputs]
        return cls.WRITTEN_IN_PLACE if all(map(_is_plain, types)) else cls.COPIED_IN_CALLBACK


def _is_plain(element_type: ov.Type) -> bool:
    """Tell whether numpy holds such numbers as OpenVINO does: not bits, halves of bytes, bfloat16 or strings."""
    try:
        dtype = np.dtype(element_type.to_dtype())
    except Exception:  # pybind's errors for what it cannot map differ from type to type
        return False
    return dtype.kind in "fiu" and ov.Type(dtype) == element_type
