"""The layers of the library: imports go downwards only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"html"},
    {"errors", "exit_codes", "markdown", "progress", "commandline"},
    {"records"},
    {"storage", "fingerprint"},
    {"sharding"},
    {"publish"},
    {"stage"},
    {"media", "provenance"},
    {"watermark"},
    {"views"},
    {"world"},
    {"judges"},
    {"sources"},
    {"curate"},
    {"data"},
    {"models"},
    {"diffusion"},
    {"train"},
    {"launch"},
    {"moderation"},
    {"generate"},
    {"export"},
    {"evaluate"},
    {"safety"},
    {"registry"},
    {"serve"},
    {"lineage"},
    {"explorer"},
    {"runner"},
    {"replay"},
    {"plan"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
RUNNER_MAY_IMPORT = {"errors", "records", "storage", "fingerprint", "progress", "runner"}
PIPELINES_MAY_IMPORT = {"errors", "records", "commandline"}
SUBMITTERS_MAY_IMPORT = PIPELINES_MAY_IMPORT | {"cli", "plan", "runner"}


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a source file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """The package or module of `veo_core` that a file belongs to."""
    return path.relative_to(ROOT / "veo_core").parts[0].removesuffix(".py")


LIBRARY = [path for path in sorted((ROOT / "veo_core").rglob("*.py")) if part_of(path) != "__init__"]


def test_layers_name_every_package_of_the_library() -> None:
    assert {part_of(path) for path in LIBRARY} == set(LEVEL)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_library_module_imports_only_lower_layers(path: Path) -> None:
    here = part_of(path)
    for name in imports(path):
        if name.startswith("veo_core."):
            there = name.split(".")[1]
            assert there == here or LEVEL[there] < LEVEL[here], f"{path}: imports {name}"
            if here == "runner":
                assert there in RUNNER_MAY_IMPORT, f"{path}: the runner knows nothing of {there}"
        assert name.split(".")[0] not in {"kfp", "components", "pipelines"}, f"{path}: imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "components").glob("*.py")), ids=lambda path: path.name)
def test_component_imports_only_kfp(path: Path) -> None:
    allowed = {"kfp", "components", "typing"}
    assert {name.split(".")[0] for name in imports(path)} <= allowed


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").rglob("*.py")), ids=lambda path: path.name)
def test_pipeline_imports_of_the_library_only_what_reads_configuration(path: Path) -> None:
    library = {name.split(".")[1] for name in imports(path) if name.startswith("veo_core.")}
    assert library <= (SUBMITTERS_MAY_IMPORT if path.parent.name == "submit" else PIPELINES_MAY_IMPORT)


def test_packages_are_import_free_so_that_a_stage_depends_on_what_it_uses() -> None:
    for path in (ROOT / "veo_core").rglob("__init__.py"):
        assert all(name.startswith("veo_core.storage") for name in imports(path)), path
