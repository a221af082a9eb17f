"""From a command line to an exit code."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

import aiohooks
from aiohooks.cli import demo, info, run
from aiohooks.errors import AiohooksError

if TYPE_CHECKING:
    from aiohooks.cli.command import Command
