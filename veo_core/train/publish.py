"""The manifest that every training stage publishes."""

import json

from veo_core.models.files import ConfiguredModel, save_model
from veo_core.records.base import Record
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.train.checkpoint import Checkpoints
from veo_core.train.loop import History


def training_manifest(
    model: ConfiguredModel, history: History, metrics: dict[str, float], config: Record, context: Context
) -> Manifest:
    """Store weights, config and history, and free the checkpoints."""
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in history)
    files = save_model(model, context.store)
    files["history"] = context.store.put_bytes(lines.encode(), ".jsonl")
    Checkpoints(context).clear()
    return Manifest(stage=context.stage, config_digest=config.digest, files=files, metrics=metrics)
