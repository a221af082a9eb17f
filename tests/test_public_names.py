import subprocess
import sys
from pathlib import Path
from types import ModuleType

import aiohooks

HEAVY = {"openvino", "model_api", "cv2", "PIL", "aiohttp", "supervision", "tqdm", "nats"}


def test_the_public_names_are_what_we_mean() -> None:
    public = {
        name for name, value in vars(aiohooks).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(aiohooks.__all__)
    assert list(aiohooks.__all__) == sorted(aiohooks.__all__)


def test_every_public_name_is_documented() -> None:
    for name in aiohooks.__all__:
        assert getattr(aiohooks, name).__doc__, name


def test_errors_are_one_tree() -> None:
    errors = [
        value for value in vars(aiohooks).values() if isinstance(value, type) and issubclass(value, BaseException)
    ]
    assert len(errors) == 12
    for error in errors:
        assert issubclass(error, aiohooks.AiohooksError)
        assert error.__name__ in (aiohooks.errors.__doc__ or "")


def test_importing_loads_nothing_heavy() -> None:
    program = (
        f"import sys; before = set(sys.modules); import aiohooks; print(*({HEAVY!r} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_it_is_typed() -> None:
    assert (Path(aiohooks.__file__).parent / "py.typed").exists()


def test_an_error_of_a_server_has_its_status() -> None:
    error = aiohooks.RemoteError("not found", status=404)
    assert (str(error), error.status) == ("not found", 404)
