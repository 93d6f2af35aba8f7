"""What a stage publishes when it is done: its manifest, its parameters, and what platforms show of it.

Kubeflow Pipelines and Vertex AI draw artifacts of some types in their own pages: system.Metrics and
system.ClassificationMetrics from their metadata, system.Markdown and system.HTML from their files.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json
from veo_core.records.manifest import Manifest
from veo_core.storage import Store

METRICS = "metrics"
"""The view that every stage has: the figures of its manifest."""


@dataclass(frozen=True)
class External:
    """An output artifact that is kept by another service, such as a model in a registry.

    Attributes:
        uri: its address there.
        metadata: what the orchestrator records with it.
    """

    uri: str
    metadata: dict[str, str]


@dataclass(frozen=True)
class Result:
    """A stage's manifest, its further output parameters by name, and its external artifacts by name."""

    manifest: Manifest
    outputs: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, External] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """An output artifact that a platform's pages show, and that no stage reads.

    Attributes:
        content: its file.
        metadata: what the platform records with it and, for some types, draws; JSON values.
    """

    content: bytes
    metadata: dict[str, Any] = field(default_factory=dict)


Views = Mapping[str, Callable[[Manifest, Store], View]]
"""A stage's views by name, each drawn from the manifest that it published: equal manifests, equal bytes."""


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say where a stage's outputs go."""
    add = parser.add_argument
    add("--manifest", metavar="PATH", help="where to write the manifest")
    add("--digest", metavar="PATH", help="where to write the manifest's digest")
    for flag, pair, text in (
        ("--output", ("NAME", "PATH"), "where to write the output parameter NAME"),
        ("--view", ("NAME", "PATH"), "where to write NAME, which platforms show"),
        ("--uri", ("NAME", "URI"), "address of a manifest, that of the input NAME or `manifest` itself"),
    ):
        add(flag, nargs=2, action="append", default=[], metavar=pair, help=text)
    add("--executor-output", metavar="PATH", help="where to write KFP's executor output")


def check_views(views: Views, arguments: argparse.Namespace) -> None:
    """Refuse to start where a view is asked for that there is not.

    Raises:
        UsageError: the stage has no such view.
    """
    known = [METRICS, *views]
    for name, _ in arguments.view:
        if name not in known:
            raise UsageError(f"--view: this stage has no view {name!r}; it has {', '.join(known)}")


def publish(
    result: Result, views: Views, inputs: Mapping[str, str], store: Store, arguments: argparse.Namespace
) -> None:
    """Write what the flags of `add_output_flags` ask for, the manifest last.

    A view that cannot be drawn says so, and the stage's work stays done.

    Args:
        result: what the stage made.
        views: its views besides the metrics.
        inputs: digests of its input manifests by name.
        store: where its objects are.
        arguments: the parsed flags.

    Raises:
        UsageError: the stage has no such output.
    """
    manifest, drawn = result.manifest, {METRICS: _metrics, **views}
    missing = [name for name, _ in arguments.output if name not in result.outputs]
    if missing:
        raise UsageError(f"--output: this stage has no output {missing[0]!r}")
    for name, path in arguments.output:
        write(path, result.outputs[name].encode())
    lineage = _lineage(manifest, inputs, dict(arguments.uri))
    described: dict[str, Any] = {
        "manifest": {
            "metadata": {"stage": manifest.stage, "digest": manifest.digest, **_figures(manifest)},
        }
    }
    for name, path in arguments.view:
        view = _drawn(name, drawn[name], manifest, store)
        write(path, view.content)
        described[name] = {"metadata": view.metadata if name == METRICS else {**lineage, **view.metadata}}
    described |= {name: asdict(artifact) for name, artifact in result.artifacts.items()}
    if arguments.executor_output:
        artifacts = {name: {"artifacts": [artifact]} for name, artifact in described.items()}
        write(arguments.executor_output, canonical_json({"artifacts": artifacts}))
    if arguments.digest:
        write(arguments.digest, manifest.digest.encode())
    write(arguments.manifest, manifest.to_bytes())


def write(path: str, data: bytes) -> None:
    """Write a file in one step, and the folders that it needs."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(data)
    part.replace(target)


def _figures(manifest: Manifest) -> dict[str, float]:
    return {"rows": manifest.rows, **_counts(manifest), **manifest.metrics}


def _counts(manifest: Manifest) -> dict[str, int]:
    return manifest.counts.model_dump() if manifest.counts else {}


def _metrics(manifest: Manifest, store: Store) -> View:
    figures = _figures(manifest)
    return View(canonical_json(figures), figures)


def _lineage(manifest: Manifest, inputs: Mapping[str, str], uris: Mapping[str, str]) -> dict[str, Any]:
    """What leads from a view to its manifest and to those that this one was made from."""
    found: dict[str, Any] = {
        "stage": manifest.stage,
        "manifest_digest": manifest.digest,
        "config_digest": manifest.config_digest,
        "rows": manifest.rows,
        **_counts(manifest),
    }
    if "manifest" in uris:
        found["manifest_uri"] = uris["manifest"]
    for name, digest in inputs.items():
        found[f"input_{name}_digest"] = digest
        if name in uris:
            found[f"input_{name}_uri"] = uris[name]
    return found


def _drawn(name: str, draw: Callable[[Manifest, Store], View], manifest: Manifest, store: Store) -> View:
    try:
        return draw(manifest, store)
    except Exception as error:
        traceback.print_exc()
        line = " ".join(f"{name} could not be drawn: {type(error).__name__}: {error}".split())
        print(f"warning: {line}", file=sys.stderr)
        return View(f"{line}\n".encode(), {"problem": line})
