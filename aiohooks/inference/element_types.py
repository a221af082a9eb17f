"""OpenVINO's names of element types, in numpy's terms."""

from collections.abc import Mapping
from typing import Any

import numpy as np

ELEMENT_TYPES: Mapping[str, np.dtype[Any]] = {
    "boolean": np.dtype(np.bool_),
    "f16": np.dtype(np.float16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "u8": np.dtype(np.uint8),
    "u16": np.dtype(np.uint16),
    "u32": np.dtype(np.uint32),
    "u64": np.dtype(np.uint64),
}
"""Those that numpy has, by OpenVINO's name."""
