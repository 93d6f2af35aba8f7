"""The lock files of the images: complete, hashed, and bound to no index."""

import importlib
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from veo_core.cli.recipe import STAGES
from veo_core.fingerprint import closure

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "images" / "locks"
IMAGES = {
    "curate": ("curate", "gcp", "s3", "vertex"),
    "train-gpu": ("train", "gcp", "s3", "kubeflow"),
    "train-tpu": ("train", "gcp", "s3", "kubeflow"),
    "serve": ("serve", "gcp", "s3"),
}
IMAGE_OF_POOL = {"cpu": "curate", "torch": "train-gpu", "accelerator": "train-gpu"}
LAUNCHERS = [
    ("judged", "curate"), ("start", "train-gpu"), ("trainjob", "train-gpu"),
    *(("secrets", image) for image in IMAGES),
]  # fmt: skip
OPTIONAL = {"ray", "torch-xla"}  # imported only where a user asks for them


def locked(name: str) -> dict[str, str]:
    """The version of each distribution in a lock file."""
    text = (LOCKS / f"{name}.txt").read_text()
    return {canonicalize_name(match[1]): match[2] for match in re.finditer(r"(?m)^([\w.-]+)==(\S+)", text)}


@pytest.mark.parametrize("name", [*IMAGES, "sbom"])
def test_lock_has_a_hash_for_each_distribution_and_no_address(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(locked(name))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize(("name", "extras"), IMAGES.items())
def test_lock_satisfies_the_extras_of_its_image(name: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    versions = locked(name)
    overridden = {"torch", "torchvision"} if name == "train-tpu" else set()
    for text in [*project["dependencies"], *(text for extra in extras for text in optional[extra])]:
        requirement = Requirement(text)
        if requirement.name not in overridden:
            assert versions[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize(("stage", "module"), STAGES.items())
def test_image_of_a_stage_has_all_that_the_stage_imports(stage: str, module: str) -> None:
    pool = importlib.import_module(f"components.{stage}").POOL
    assert missing(module, IMAGE_OF_POOL[pool]) == set()


@pytest.mark.parametrize(("launcher", "image"), LAUNCHERS)
def test_image_has_all_that_its_launcher_imports(launcher: str, image: str) -> None:
    assert missing(f"veo_core.launch.{launcher}", image) == set()


def missing(module: str, image: str) -> set[str]:
    """Distributions that a module imports, directly or not, and that the image's lock lacks."""
    providers = importlib.metadata.packages_distributions()
    wanted = [{canonicalize_name(name) for name in providers.get(top, [top])} for top in closure(module)[1]]
    lock = set(locked(image)) | OPTIONAL
    return {name for names in wanted if not names & lock for name in names}


def test_curation_and_its_tools_need_no_torch() -> None:
    assert not {name for name in locked("curate") if name.startswith(("torch", "nvidia", "triton"))}


def test_tpu_image_has_the_torch_that_torch_xla_was_made_for() -> None:
    versions = locked("train-tpu")
    assert versions["torch"] == versions["torch-xla"] == "2.9.0"
    assert "libtpu" in versions
