"""Profiles for tests: the committed examples, changed where a test wants it."""

from pathlib import Path
from typing import Any

import yaml

import pipelines

EXAMPLES = Path(pipelines.__file__).parent / "profiles"
LOCK = EXAMPLES / "example-images.lock.json"


def write_profile(folder: Path, example: str, *, accelerator: Any = None, **changes: Any) -> Path:
    """The example profile of a target with `changes`, and with `accelerator` as its only choice if given."""
    profile: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{example}-example.yaml").read_text())
    profile |= {"images": str(LOCK)} | changes
    if accelerator is not None:
        profile["pools"]["accelerator"] = [accelerator]
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path
