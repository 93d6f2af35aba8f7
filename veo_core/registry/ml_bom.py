"""The machine-learning bill of materials: CycloneDX 1.6, JSON, with the model card in its terms.

Source: https://cyclonedx.org/docs/1.6/json. It is written as plain JSON, since cyclonedx-python-lib knows no
model cards; the library's validator holds it against the schema in a test. Nothing in it depends on when or
where it was written.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from veo_core.evaluate.records import SummaryRow
from veo_core.provenance.claim import PRODUCT, product_version
from veo_core.records.base import canonical_json
from veo_core.records.files import FileRef
from veo_core.registry.records import ModelDescription

Json = dict[str, Any]

_DATASET = "dataset"
_PARTS = {
    "video_vae": "causal 3D convolutional variational autoencoder of pictures",
    "audio_vae": "convolutional variational autoencoder of sound",
    "base": "joint audio-video denoising transformer",
    "upsampler": "latent upsampler",
}


def ml_bom(reference: str, model: ModelDescription) -> bytes:
    """The bill of materials of a registered model, as it is stored."""
    return canonical_json(bill_of_materials(reference, model))


def bill_of_materials(reference: str, model: ModelDescription) -> Json:
    """The bill of materials of a registered model.

    Args:
        reference: `name@version`.
        model: what is registered.
    """
    name, _, version = reference.partition("@")
    parts = [_part(part, about, model) for part, about in _PARTS.items()]
    used = [_DATASET, *(part["bom-ref"] for part in parts)]
    root: Json = {
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "description": "Generator of short video clips with sound.",
        "modelCard": _card(model),
        "properties": properties(
            {"model_digest": model.files.digest, "description_digest": model.digest}
            | {f"manifest_{role}": digest for role, digest in sorted(model.manifests.items())}
        ),
    }
    tool = {"type": "application", "name": PRODUCT, "version": product_version()}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{reference} {model.digest}')}",
        "version": 1,
        "metadata": {"component": root, "tools": {"components": [tool]}},
        "components": [_dataset(model), *parts],
        "dependencies": [
            {"ref": reference, "dependsOn": used},
            *({"ref": part["bom-ref"], "dependsOn": [_DATASET]} for part in parts),
        ],
    }


def _part(part: str, about: str, model: ModelDescription) -> Json:
    weights, config = (getattr(model.files, f"{part}_{kind}") for kind in ("weights", "config"))
    return {
        "type": "machine-learning-model",
        "bom-ref": part,
        "name": part,
        "description": about,
        "hashes": _hashes(weights),
        "components": [
            {
                "type": "file",
                "bom-ref": f"{part}-{kind}",
                "name": ref.path,
                "mime-type": mime,
                "hashes": _hashes(ref),
            }
            for kind, ref, mime in (
                ("weights", weights, "application/octet-stream"),
                ("config", config, "application/json"),
            )
        ],
        "properties": properties(
            {name: f"{value:.6g}" for name, value in sorted(model.training.get(part, {}).items())}
        ),
    }


def _dataset(model: ModelDescription) -> Json:
    data = model.data
    return {
        "type": "data",
        "bom-ref": _DATASET,
        "name": "training clips",
        "description": f"{data.train_clips} clips ({data.train_seconds:.0f} s) from {data.sources} sources",
        "licenses": [{"license": {"name": item.licence or "none stated"}} for item in data.licences],
        "data": [
            {
                "type": "dataset",
                "name": "training clips",
                "contents": {
                    "properties": properties(
                        {f"clips under {item.licence or 'none stated'}": item.clips for item in data.licences}
                    )
                },
            }
        ],
        "properties": properties(
            {"manifest_sha256": model.manifests.get("dataset", "")}
            | {f"{row.stage}: {row.verdict}: {row.rule}".rstrip(": "): row.items for row in model.curation}
            | {
                f"filter {f.filter}": f"precision {f.precision:.3f}, recall {f.recall:.3f}, {f.n} clips"
                for f in model.filters
            }
        ),
    }


def _card(model: ModelDescription) -> Json:
    marks = model.marks
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "text-to-video with sound",
            "architectureFamily": "latent diffusion cascade",
            "modelArchitecture": "joint audio-video denoising transformer with a latent upsampler",
            "datasets": [{"ref": _DATASET}],
            "inputs": [{"format": kind} for kind in ("text", "image", "video", "sound")],
            "outputs": [{"format": "video/mp4"}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [_metric(row) for row in model.metrics if row.value is not None]
        },
        "considerations": {
            "useCases": [model.intended_use],
            "technicalLimitations": list(model.limits),
            "ethicalConsiderations": [
                {"name": figure.name, "mitigationStrategy": f"{figure.bad} of {figure.n}; gate: {reason}"}
                for figure in model.safety
                for reason in [_gate(figure.name, model)]
            ],
        },
        "properties": properties(
            {"marked_clips": "not recorded"}
            if marks is None
            else {"clips": marks.clips, "watermarked_clips": marks.watermarked, "signed_clips": marks.signed}
        ),
    }


def _gate(name: str, model: ModelDescription) -> str:
    return next((check.reason for check in model.decision.checks if check.name == name), "not asked")


def _metric(row: SummaryRow) -> Json:
    measured: Json = {
        "type": f"{row.metric} ({row.unit})",
        "value": f"{row.value:.6g}",
        "slice": f"{row.split} {row.mode}".strip(),
    }
    if row.ci_low is not None and row.ci_high is not None:
        measured["confidenceInterval"] = {
            "lowerBound": f"{row.ci_low:.6g}",
            "upperBound": f"{row.ci_high:.6g}",
        }
    return measured


def _hashes(ref: FileRef) -> list[Json]:
    return [{"alg": "SHA-256", "content": ref.sha256}]


def properties(values: Mapping[str, Any]) -> list[Json]:
    """Name-value pairs in the product's own namespace."""
    return [{"name": f"{PRODUCT}:{name}", "value": str(value)} for name, value in values.items()]
