"""The command ``aiohooks``.

``program`` finds the command that is meant and turns its errors into exit codes; ``command`` says what a command
is. ``run``, ``info``, ``serve``, ``demo``, ``spool``, ``ood`` and ``drift`` are one each; a new one is another file and another entry
in `aiohooks.cli.program.COMMANDS`.

``run`` reads from top to bottom: ``arguments`` and ``inputs`` say what to run on what, ``outputs`` where annotated
pictures go, ``passage`` takes a source through the model, ``ending`` ends that early, ``summary`` and ``report`` tell
what came of it.
"""

from aiohooks.cli.program import main

__all__ = ["main"]
