"""The evidence that the gate decides on, found by a run or by a registered model."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from veo_core.errors import UsageError
from veo_core.evaluate.records import EvaluationSummary
from veo_core.lineage.evidence import gather
from veo_core.records.base import Record
from veo_core.records.manifest import Manifest
from veo_core.registry.local import load
from veo_core.runner.runs import list_runs, run_folder
from veo_core.safety.gate import Bindings, decide
from veo_core.safety.records import Decision, Policy, SafetyReport, SignOffs
from veo_core.storage import Store
from veo_core.storage.published import published

RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True)
class Candidate:
    """A model's evidence. name: the run or the model."""

    name: str
    report: SafetyReport
    policy: Policy
    evaluation: EvaluationSummary
    sign_offs: SignOffs
    bindings: Bindings

    def decide(self, today: datetime.date, sign_offs: SignOffs | None = None) -> Decision:
        """Replay the gate, with other sign-offs than its own where they are given."""
        signed = sign_offs or self.sign_offs
        return decide(
            self.report,
            self.policy,
            self.evaluation,
            self.bindings,
            today=today,
            approvals=signed.approvals,
            waivers=signed.waivers,
        )


def find_candidate(reference: str, *, runs: Path, store: Store) -> Candidate:
    """The evidence of a run, or of the run that registered NAME@VERSION.

    Raises:
        UsageError: there is no such run or model, or its evidence is missing or was altered.
    """
    if "@" not in reference:
        return _of_run(run_folder(runs, reference), store)
    wanted = load(store, reference).description.manifests["safety"]
    for record in reversed(list_runs(runs)):
        folder = runs / record.run_id
        manifest = gather(folder, store).last("safety_evaluation")
        if manifest is not None and manifest.digest == wanted:
            return _of_run(folder, store)
    raise UsageError(f"model {reference!r}: no run in {runs} holds its evidence")


def _of_run(folder: Path, store: Store) -> Candidate:
    evidence = gather(folder, store)
    generated, evaluation, safety, dataset = (
        _manifest(evidence.last(stage), stage, folder)
        for stage in ("generate", "evaluate", "safety_evaluation", "package")
    )
    return Candidate(
        name=folder.name,
        report=published(safety, "report", SafetyReport, store),
        policy=published(safety, "policy", Policy, store),
        evaluation=published(evaluation, "summary", EvaluationSummary, store),
        sign_offs=published(safety, "sign_offs", SignOffs, store),
        bindings=Bindings.of(
            generated.files["model"].sha256,
            generated=generated,
            evaluation=evaluation,
            safety=safety,
            dataset=dataset,
        ),
    )


def _manifest(manifest: Manifest | None, stage: str, folder: Path) -> Manifest:
    if manifest is None:
        raise UsageError(f"run {folder.name}: its stage {stage} has no manifest, so there is no evidence")
    return manifest
