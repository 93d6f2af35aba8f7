"""Push built images to a registry, and write images.lock.json: each image's name with its digest there.

    python images/push.py REGISTRY [curate|train-gpu|train-tpu|serve ...]

REGISTRY is where the repositories veo-curate, ... lie, such as europe-west4-docker.pkg.dev/PROJECT/veo.
Images that are not named keep their entry. Credentials are those of `docker login`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

IMAGES = ("curate", "train-gpu", "train-tpu", "serve")
LOCK = Path(__file__).parents[1] / "images.lock.json"


class PushError(Exception):
    """Says in one line why an image was not pushed."""


def main(argv: list[str]) -> int:
    if not argv or not set(argv[1:]) <= set(IMAGES):
        print(f"error: usage: images/push.py REGISTRY [{'|'.join(IMAGES)} ...]", file=sys.stderr)
        return 2
    registry, names = argv[0].rstrip("/"), argv[1:] or IMAGES
    try:
        lock = json.loads(LOCK.read_text()) if LOCK.exists() else {}
    except ValueError as error:
        print(f"error: {LOCK}: not valid JSON: {error}; mend or delete it", file=sys.stderr)
        return 2
    for name in names:
        try:
            lock[name] = push(name, registry)
        except PushError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        LOCK.write_text(json.dumps(lock, indent=2, sort_keys=True) + "\n")
        print(f"{name}: {lock[name]}")
    return 0


def push(name: str, registry: str) -> str:
    """Push the image that `make images` built last; its reference by digest.

    Raises:
        PushError: it was not built, or the registry did not take it.
    """
    local, repository = f"veo-{name}:latest", f"{registry}/veo-{name}"
    labels = json.loads(_docker("image", "inspect", "--format", "{{json .Config.Labels}}", local))
    tagged = f"{repository}:{labels['org.opencontainers.image.revision'][:12]}"
    _docker("tag", local, tagged)
    digest = re.search(r"digest: (sha256:[0-9a-f]{64})", _docker("push", tagged))
    if digest is None:
        raise PushError(f"{tagged}: the registry gave no digest")
    return f"{repository}@{digest[1]}"


def _docker(*arguments: str) -> str:
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True)  # noqa: S607
    if result.returncode:
        last = next(iter(result.stderr.strip().splitlines()[-1:]), f"exit code {result.returncode}")
        raise PushError(f"docker {arguments[0]}: {last}")
    return result.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
