"""The manifest that every training stage publishes."""

import json
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from veo_core.models.files import save_model
from veo_core.records.base import Record
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.train.checkpoint import Checkpoints
from veo_core.train.journal import learning_log
from veo_core.train.loop import History
from veo_core.train.parallel import whole_state
from veo_core.train.runtime import is_first, wait_for_all


@dataclass
class _Whole:
    """A model whose weights are gathered from the processes that share them."""

    config: Any
    tensors: dict[str, Tensor]

    def state_dict(self) -> dict[str, Tensor]:
        return self.tensors


def training_manifest(
    model: nn.Module, history: History, metrics: dict[str, float], config: Record, context: Context
) -> Manifest:
    """Store weights, config, history and TensorBoard's event file, and free the checkpoints.

    Raises:
        SystemExit: code 0 in every process but the first, once the first has stored all.
    """
    built = _Whole(model.config, whole_state(model))
    if not is_first():
        wait_for_all()
        raise SystemExit(0)
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in history)
    files = save_model(built, context.store)
    files["history"] = context.store.put_bytes(lines.encode(), ".jsonl")
    files["tensorboard"] = context.store.put_bytes(learning_log(context), ".tfevents")
    Checkpoints(context).clear()
    wait_for_all()
    return Manifest(stage=context.stage, config_digest=config.digest, files=files, metrics=metrics)
