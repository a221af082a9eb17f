"""How long `import aiohooks` takes beyond `import openvino`: new processes, in turn."""

import statistics
import subprocess
import sys

import options
import tables

PROGRAM = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
CASES = {
    "openvino": "import openvino",
    "openvino, then aiohooks": "import openvino; import aiohooks",
    "aiohooks alone": "import aiohooks",
}


def seconds(statement: str) -> float:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(statement)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    given = options.parse(__doc__)
    rounds = 5 if given.quick else given.rounds
    taken: dict[str, list[float]] = {case: [] for case in CASES}
    for _ in range(rounds):
        for case, statement in CASES.items():
            taken[case].append(seconds(statement))
    print(f"{'import':<26}{'median s':>10}{'best s':>10}")
    for case, values in taken.items():
        print(f"{case:<26}{statistics.median(values):>10.3f}{min(values):>10.3f}")
    beyond = [both - alone for both, alone in zip(taken["openvino, then aiohooks"], taken["openvino"], strict=True)]
    print(f"aiohooks beyond openvino: {statistics.median(beyond):.3f} s (median of {rounds} pairs)")
    rows = [
        {"import": case, "seconds": values} for case, values in (taken | {"aiohooks beyond openvino": beyond}).items()
    ]
    tables.save("import", given.json, rows)


if __name__ == "__main__":
    main()
