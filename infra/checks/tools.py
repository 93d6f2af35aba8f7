"""Programs that the checks run."""

import os
import shutil
import sys
from pathlib import Path


def find(name: str) -> str | None:
    """A program on PATH, or beside this Python, where packages put the programs that they carry."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), beside)))
