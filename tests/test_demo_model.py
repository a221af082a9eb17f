"""The demo's model: weights read without torch and without running anything, and the network built from them."""

import io
import json
import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from loops import on_one_loop
from model_api.adapters import OpenvinoAdapter
from model_api.models import Model
from numpy.typing import NDArray

from aiohooks.demo import cache, efficientnet_lite0
from aiohooks.demo.assets import Asset, Package
from aiohooks.demo.torch_weights import read_state_dict
from aiohooks.errors import LoadError


class Storage:
    """What stands for a tensor's memory in a file: its type, key and elements."""

    def __init__(self, kind: Any, key: str, elements: NDArray[Any]) -> None:
        self.kind, self.key, self.elements = kind, key, elements


class Tensor:
    def __init__(self, storage: Storage, offset: int, shape: Sequence[int], strides: Sequence[int]) -> None:
        self.arguments = (storage, offset, tuple(shape), tuple(strides), False, OrderedDict())


@pytest.fixture
def torch_names(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Modules with the names that torch's files mention, so that pickle can write such a file here."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in ("FloatStorage", "HalfStorage", "LongStorage", "BoolStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return types.SimpleNamespace(torch=torch, rebuild=_rebuild_tensor_v2)


def torch_file(
    names: types.SimpleNamespace, state: Any, *, magic: int = 0x1950A86A20F9469CFC6C, little: bool = True
) -> bytes:
    """Write a state dict as torch before 1.6 did."""
    storages: dict[str, Storage] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: object) -> object:
            if not isinstance(thing, Storage):
                return None
            storages[thing.key] = thing
            return ("storage", thing.kind, thing.key, "cpu", len(thing.elements), None)

        def reducer_override(self, thing: object) -> Any:
            return (names.rebuild, thing.arguments) if isinstance(thing, Tensor) else NotImplemented

    file = io.BytesIO()
    for part in (magic, 1001, {"protocol_version": 1001, "little_endian": little, "type_sizes": {"int": 4}}):
        pickle.dump(part, file, protocol=2)
    Pickler(file, protocol=2).dump(state)
    pickle.dump(sorted(storages), file, protocol=2)
    for key in sorted(storages):
        elements = storages[key].elements
        file.write(struct.pack("<q", len(elements)) + elements.tobytes())
    return file.getvalue()


class TestTorchWeights:
    def test_tensors_come_back_with_their_offsets_and_strides(self, torch_names: types.SimpleNamespace, tmp_path: Path):
        numbers = np.arange(24, dtype=np.float32)
        shared = Storage(torch_names.torch.FloatStorage, "1", numbers)
        state = OrderedDict(
            rows=Tensor(shared, 0, (2, 3, 4), (12, 4, 1)),
            permuted=Tensor(shared, 0, (4, 3, 2), (1, 4, 12)),
            tail=Tensor(shared, 20, (4,), (1,)),
            steps=Tensor(Storage(torch_names.torch.LongStorage, "2", np.array([7, 8])), 1, (), ()),
            halves=Tensor(
                Storage(torch_names.torch.HalfStorage, "3", np.array([0.5, 2], np.float16)), 0, (1, 2), (2, 1)
            ),
        )
        state._metadata = OrderedDict()
        path = tmp_path / "weights.pth"
        path.write_bytes(torch_file(torch_names, state))
        weights = read_state_dict(path)
        cube = numbers.reshape(2, 3, 4)
        np.testing.assert_array_equal(weights["rows"], cube)
        np.testing.assert_array_equal(weights["permuted"], cube.transpose(2, 1, 0))
        np.testing.assert_array_equal(weights["tail"], [20, 21, 22, 23])
        np.testing.assert_array_equal(weights["steps"], 8)
        np.testing.assert_array_equal(weights["halves"], [[0.5, 2]])
        assert {name: array.dtype.name for name, array in weights.items()}["halves"] == "float16"

    def test_a_file_with_code_is_refused_and_the_code_not_run(self, torch_names: types.SimpleNamespace, tmp_path: Path):
        trace = tmp_path / "ran"

        class Evil:
            def __reduce__(self) -> Any:
                return (Path.touch, (trace,))

        path = tmp_path / "weights.pth"
        path.write_bytes(torch_file(torch_names, {"weight": Evil()}))
        with pytest.raises(LoadError, match="nothing in a file is ever run"):
            read_state_dict(path)
        assert not trace.exists()

    @pytest.mark.parametrize(
        ("offset", "shape", "strides"),
        [(0, (5,), (1,)), (1, (4,), (1,)), (0, (2, 2), (3, 1)), (-1, (1,), (1,)), (0, (2,), (-1,)), (0, (2, 2), (1,))],
    )
    def test_a_tensor_never_reaches_beyond_its_storage(
        self,
        torch_names: types.SimpleNamespace,
        tmp_path: Path,
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
    ):
        storage = Storage(torch_names.torch.FloatStorage, "1", np.zeros(4, np.float32))
        path = tmp_path / "weights.pth"
        path.write_bytes(torch_file(torch_names, {"weight": Tensor(storage, offset, shape, strides)}))
        with pytest.raises(LoadError, match=r"offset, shape and strides|beyond its storage"):
            read_state_dict(path)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda names: b"", "weights.pth"),
            (lambda names: b"PK\x03\x04 a newer torch file", "weights.pth"),
            (lambda names: torch_file(names, {}, magic=1), "magic number"),
            (lambda names: torch_file(names, {}, little=False), "big-endian"),
            (lambda names: torch_file(names, {"epoch": 3}), "something else than a mapping of tensors"),
            (lambda names: torch_file(names, [1, 2]), "something else than a mapping of tensors"),
            (lambda names: torch_file(names, {"lr": 0.1}), "instruction BINFLOAT .* refused"),
            (
                lambda names: torch_file(
                    names, {"x": Tensor(Storage(names.torch.BoolStorage, "1", np.zeros(1)), 0, (1,), (1,))}
                ),
                "storage of an unknown kind",
            ),
        ],
    )
    def test_another_file_is_refused_with_its_reason(
        self, torch_names: types.SimpleNamespace, tmp_path: Path, make: Any, message: str
    ):
        path = tmp_path / "weights.pth"
        path.write_bytes(make(torch_names))
        with pytest.raises(LoadError, match=message):
            read_state_dict(path)

    def test_any_damage_gives_tensors_or_an_error_of_ours(
        self, torch_names: types.SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
    ):
        storage = Storage(torch_names.torch.FloatStorage, "1", np.arange(6, dtype=np.float32))
        whole = torch_file(
            torch_names, OrderedDict(a=Tensor(storage, 0, (2, 3), (3, 1)), b=Tensor(storage, 5, (1,), (1,)))
        )
        path = tmp_path_factory.mktemp("damage") / "weights.pth"

        @given(position=st.integers(0, len(whole) - 1), patch=st.binary(max_size=3), length=st.integers(0, len(whole)))
        @example(position=0, patch=b"", length=len(whole) - 1)
        @example(position=112, patch=b"\\", length=124)  # an escape that Python warns of
        def check(position: int, patch: bytes, length: int) -> None:
            path.write_bytes((whole[:position] + patch + whole[position + len(patch) :])[:length])
            try:
                weights = read_state_dict(path)
            except LoadError:
                return
            assert all(isinstance(array, np.ndarray) for array in weights.values())

        check()


def lite0_weights() -> dict[str, NDArray[np.float32]]:
    """Random weights of EfficientNet-Lite0's shapes."""
    random = np.random.default_rng(0)
    weights: dict[str, NDArray[np.float32]] = {}

    def layer(convolution: str, norm: str, shape: tuple[int, int, int, int]) -> None:
        scale = (2 / np.prod(shape[1:])) ** 0.5
        weights[f"{convolution}.weight"] = random.normal(0, scale, shape).astype(np.float32)
        for name, low, high in (
            ("weight", 0.8, 1.2),
            ("bias", -0.1, 0.1),
            ("running_mean", -0.1, 0.1),
            ("running_var", 0.8, 1.2),
        ):
            weights[f"{norm}.{name}"] = random.uniform(low, high, shape[0]).astype(np.float32)

    layer("_conv_stem", "_bn0", (32, 3, 3, 3))
    inputs, index = 32, 0
    for repeats, kernel, expand, outputs in (
        (1, 3, 1, 16), (2, 3, 6, 24), (2, 5, 6, 40), (3, 3, 6, 80), (3, 5, 6, 112), (4, 5, 6, 192), (1, 3, 6, 320),
    ):  # fmt: skip
        for _ in range(repeats):
            block, middle = f"_blocks.{index}.", inputs * expand
            if expand > 1:
                layer(f"{block}_expand_conv", f"{block}_bn0", (middle, inputs, 1, 1))
            layer(f"{block}_depthwise_conv", f"{block}_bn1", (middle, 1, kernel, kernel))
            layer(f"{block}_project_conv", f"{block}_bn2", (outputs, middle, 1, 1))
            inputs, index = outputs, index + 1
    layer("_conv_head", "_bn1", (1280, 320, 1, 1))
    weights["_fc.weight"] = random.normal(0, 0.03, (1000, 1280)).astype(np.float32)
    weights["_fc.bias"] = random.normal(0, 1, 1000).astype(np.float32)
    return weights


class TestEfficientNetLite0:
    def test_class_names_are_in_the_order_of_their_ids(self):
        names = efficientnet_lite0.class_names(
            "n2\nn1\n", "n1\ttench, Tinca tinca\nn3\tcat\nn2\tgreat white shark, man-eater\n"
        )
        assert list(names.items()) == [("n1", "tench"), ("n2", "great white shark")]

    def test_the_network_gives_features_and_the_logits_that_follow_from_them(self):
        weights = lite0_weights()
        compiled = ov.Core().compile_model(
            efficientnet_lite0.build(weights), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        picture = np.random.default_rng(1).normal(0, 1, (1, 3, 256, 256)).astype(np.float32)
        outputs = compiled({"images": picture})
        features = outputs["feature_vector"]
        assert features.shape == (1, 1280)
        np.testing.assert_allclose(
            outputs["logits"], features @ weights["_fc.weight"].T + weights["_fc.bias"], atol=1e-3
        )
        picture[..., :16, :] = 0
        picture[..., 240:] = 0
        np.testing.assert_array_equal(compiled({"images": picture})["feature_vector"], features)

    def test_model_api_reads_how_to_use_it(self, tmp_path: Path):
        path = tmp_path / "model.xml"
        efficientnet_lite0.describe(
            model := efficientnet_lite0.build(lite0_weights()), {f"n{i:03}": f"kind {i}" for i in range(1000)}
        )
        ov.save_model(model, path)
        wrapper = Model.create_model(OpenvinoAdapter(ov.Core(), str(path)), preload=True)
        best = wrapper(np.full((300, 200, 3), 90, np.uint8)).top_labels[0]
        assert best.name == f"kind_{best.id}"
        info = ov.Core().read_model(path).get_rt_info(["model_info", "label_info"]).astype(str)
        assert json.loads(info)["label_names"][:2] == ["kind 0", "kind 1"]

    @on_one_loop
    @pytest.mark.anyio
    async def test_the_classifier_is_built_once(
        self, torch_names: types.SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("AIOHOOKS_CACHE", str(tmp_path))
        monkeypatch.setattr(efficientnet_lite0, "CLASSIFIER_FILES", put_files(torch_names))
        path = await efficientnet_lite0.classifier()
        built = path.read_bytes()
        assert ov.Core().read_model(path).output("feature_vector").shape == ov.Shape([1, 1280])
        assert await efficientnet_lite0.classifier() == path
        assert path.read_bytes() == built
        path.with_suffix(".bin").unlink()
        await efficientnet_lite0.classifier()
        assert path.with_suffix(".bin").is_file()


def put_files(names: types.SimpleNamespace) -> tuple[Asset, Asset, Asset]:
    """Put weights and class names into the cache, and return what they are."""
    state = OrderedDict()
    for number, (name, array) in enumerate(lite0_weights().items()):
        strides = [stride // array.itemsize for stride in array.strides]
        state[name] = Tensor(Storage(names.torch.FloatStorage, str(number), array.ravel()), 0, array.shape, strides)
    synsets = "".join(f"n{i:03}\n" for i in range(1000))
    lemmas = "".join(f"n{i:03}\tkind {i}\n" for i in range(1000))
    assets = []
    for name, content in (
        ("weights.pth", torch_file(names, state)),
        ("synsets.txt", synsets.encode()),
        ("lemmas.txt", lemmas.encode()),
    ):
        asset = Asset(Package("test", "1.0", 0), name, len(content), cache.sha256_of_bytes(content))
        cache.put(asset.path, content)
        assets.append(asset)
    return assets[0], assets[1], assets[2]
