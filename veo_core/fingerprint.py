"""The identity of installed code: what a stage would execute, by file and library, or as one digest.

It covers a module's own source, the source of each first-party module that it imports, directly or not, the
data files beside those, and the versions of the third-party distributions that they import. It is read from
the source without importing it, so that the fingerprint of a training stage costs no torch import.
"""

import ast
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json

_MADE = ("__pycache__", "node_modules")


def module_fingerprint(module: str) -> str:
    """The hexadecimal digest of the code that `python -m module` would run.

    Raises:
        UsageError: no such module is installed.
    """
    return hashlib.sha256(canonical_json(code_of(module))).hexdigest()


def code_of(module: str) -> dict[str, str]:
    """What `python -m module` would run: "python" with its version, sha256 by file, versions by library.

    Files go by their path below the folder that holds the package, with forward slashes.

    Raises:
        UsageError: no such module is installed.
    """
    sources, third_party = closure(module)
    files: dict[str, Path] = {}
    for name, path in sources.items():
        place = PurePosixPath(*name.split("."))
        folder = place if path.name == "__init__.py" else place.parent
        files[str(folder / path.name)] = path
        if folder.parts:
            files |= {str(folder / data.name): data for data in _data_files(path.parent)}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digests = {name: _file_digest(path, path.stat().st_mtime_ns) for name, path in sorted(files.items())}
    return {"python": version} | digests | _distribution_versions(third_party)


def files_of(package: str) -> dict[str, str]:
    """sha256 of each file of an installed package, named as in `code_of`.

    What Python and Node put there themselves is left out.

    Raises:
        UsageError: no such package is installed.
    """
    found = _locate(package)
    if found is None:
        raise UsageError(f"no package named {package!r} is installed")
    paths: list[Path] = []
    for folder, inner, names in os.walk(found.parent):
        inner[:] = [name for name in inner if name not in _MADE]
        paths += (Path(folder, name) for name in names)
    return {
        path.relative_to(found.parents[1]).as_posix(): _file_digest(path, path.stat().st_mtime_ns)
        for path in sorted(paths)
        if path.is_file()
    }


def closure(module: str) -> tuple[dict[str, Path], set[str]]:
    """First-party modules reachable from `module` with their files, and third-party top-level names."""
    package = module.split(".")[0]
    sources: dict[str, Path] = {}
    third_party: set[str] = set()
    start = _locate(module)
    if start is None:
        raise UsageError(f"no module named {module!r} is installed")
    pending = [module, f"{module}.__main__"]
    while pending:
        name = pending.pop()
        if name in sources:
            continue
        path = _locate(name)
        if path is None:
            continue
        sources[name] = path
        pending.extend(name.rsplit(".", count)[0] for count in range(1, name.count(".") + 1))
        for imported in _imports(path, path.stat().st_mtime_ns, name):
            if imported.split(".")[0] == package:
                pending.append(imported)
            else:
                third_party.add(imported.split(".")[0])
    return sources, third_party - set(sys.stdlib_module_names)


def _locate(module: str) -> Path | None:
    """The source file of a module, found without importing anything."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    name = top
    for part in rest:
        if spec is None:
            return None
        name = f"{name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(name, list(spec.submodule_search_locations or []))
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _data_files(folder: Path) -> Iterator[Path]:
    """What lies beside the modules in a package's folder."""
    return (path for path in folder.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc"))


@lru_cache(maxsize=4096)
def _file_digest(path: Path, mtime_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=4096)
def _imports(path: Path, mtime_ns: int, module: str) -> tuple[str, ...]:
    """Every module that the source at `path` names in an import, at any depth of its code."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, package)
            found.append(base)
            found.extend(f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
    return tuple(found)


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _distribution_versions(top_level_names: set[str]) -> dict[str, str]:
    found = {distribution for name in top_level_names for distribution in _distributions().get(name, [])}
    return {distribution: importlib.metadata.version(distribution) for distribution in sorted(found)}
