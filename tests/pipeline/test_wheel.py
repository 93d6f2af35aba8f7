"""The built wheel works outside a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as `pip install` lays it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in tracked.stdout.splitlines():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def veo(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "veo_core.cli.main", *arguments],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True,
    )  # fmt: skip


def test_wheel_carries_the_compiled_pipeline_and_the_presets(installed: Path) -> None:
    compiled = {path.name for path in (installed / "pipelines" / "compiled").iterdir()}
    targets = ("embedded", "kubeflow", "vertex")
    assert compiled == {f"{target}{suffix}.yaml" for target in targets for suffix in ("", "-curation")}
    presets = {path.name for path in (installed / "pipelines" / "presets").iterdir()}
    assert presets == {"footage.yaml", "smoke.yaml", "world.yaml", "world-full.yaml"}


def test_wheel_carries_the_explorer_as_built_and_not_its_sources(installed: Path) -> None:
    explorer = installed / "veo_core" / "explorer"
    built = {path.name for path in (explorer / "static").iterdir()}
    assert built == {"app.css", "app.js", "build.json", "licences.txt"}
    assert not (explorer / "web").exists()


def test_wheel_finds_its_presets_outside_a_checkout(installed: Path, tmp_path: Path) -> None:
    process = veo(installed, tmp_path, "run", "--preset", "none")
    assert process.returncode == 2
    assert "smoke, world, world-full" in process.stderr


@pytest.mark.slow
def test_wheel_runs_the_pipeline_outside_a_checkout(installed: Path, tmp_path: Path) -> None:
    process = veo(installed, tmp_path, "run", "--preset", "smoke")
    assert process.returncode == 0, process.stdout + process.stderr
    assert list((tmp_path / "runs").glob("*/report.html"))
