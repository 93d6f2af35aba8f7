"""The real curation image: what is in it, and that it gives what an in-process run gives."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from veo_core.records.manifest import Manifest
from veo_core.records.run import RunRecord

ROOT = Path(__file__).parents[2]
MAX_BYTES = 1_200_000_000
STAGES = (
    "collect", "prepare", "describe", "dedup", "safety-filter", "quality-filter", "annotate", "package",
)  # fmt: skip


def has_engine() -> bool:
    return (
        bool(shutil.which("docker"))
        and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    )


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_engine(), reason="no Docker engine")]


@pytest.fixture(scope="module")
def image() -> str:
    """The image of this checkout."""
    build = subprocess.run([str(ROOT / "images" / "build"), "curate"], capture_output=True, text=True)
    assert build.returncode == 0, build.stdout[-2000:] + build.stderr[-2000:]
    return "veo-curate:latest"


def inside(image: str, *command: str) -> str:
    """What a command prints in the image, as a user that the image does not know."""
    result = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--user", "12345:12345", image, *command],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def facts(image: str) -> dict:
    output = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=True).stdout
    return json.loads(output)[0]


def test_image_is_small_and_says_what_it_is(image: str) -> None:
    inspected = facts(image)
    assert inspected["Size"] <= MAX_BYTES
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", inspected["Config"]["User"])
    labels = inspected["Config"]["Labels"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.version"]


def test_image_has_no_compiler_and_one_ffmpeg(image: str) -> None:
    program = "for tool in cc gcc g++ c++ clang ld make ffmpeg; do command -v $tool; done; true"
    assert inside(image, "sh", "-c", program) == ""
    find = "find / -xdev -type f -name 'libavcodec*' 2>/dev/null || true"
    (library,) = inside(image, "sh", "-c", find).splitlines()
    assert "/av.libs/" in library


def test_every_stage_starts_as_any_user(image: str) -> None:
    for stage in STAGES:
        assert "usage:" in inside(
            image, "python", "-m", f"veo_core.curate.{stage.replace('-', '_')}", "--help"
        )


def test_sbom_lists_what_the_lock_names(image: str) -> None:
    sbom = json.loads(inside(image, "cat", "/veo/share/veo/sbom.cdx.json"))
    assert sbom["bomFormat"] == "CycloneDX"
    listed = {(canonicalize_name(part["name"]), part["version"]) for part in sbom["components"]}
    lock = (ROOT / "images" / "locks" / "curate.txt").read_text()
    assert listed == {
        (canonicalize_name(match[1]), match[2]) for match in re.finditer(r"(?m)^([\w.-]+)==(\S+)", lock)
    }


def test_notices_tell_the_licence_of_ffmpeg_and_of_its_codecs(image: str) -> None:
    notices = inside(image, "cat", "/veo/share/veo/NOTICES")
    assert "GNU General\nPublic License, version 3 or later" in notices
    assert "libx264: GPL-2.0-or-later" in notices


@pytest.fixture(scope="module")
def curate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """Run the compiled curation pipeline; gives the digest of each stage's manifest."""

    def run(*arguments: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("curated")
        small = ("--set", "collect.world.clips=24", "--set", "package.min_clips=2")
        command = [sys.executable, "-m", "veo_core.cli.main", "curate", "--preset", "smoke", *small]
        process = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True)
        assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
        (record_file,) = (folder / "runs").glob("*/run.json")
        record = RunRecord.load(record_file)
        assert ("cpu" in record.images) == bool(arguments)
        manifests = {
            task.name: folder / "runs" / record.run_id / task.outputs["manifest"][0].uri
            for task in record.tasks
        }
        return {name: Manifest.load(path).digest for name, path in manifests.items()}

    return run


@pytest.mark.usefixtures("image")
def test_curation_in_containers_gives_the_manifests_of_the_in_process_run(
    curate: Callable[..., dict[str, str]],
) -> None:
    in_containers = curate("--executor", "docker")
    assert set(in_containers) == set(STAGES)
    assert in_containers == curate()
