"""A run from collected footage to a registered model, made without film, judge or training."""

from pathlib import Path

from curated_run import CuratedRun
from synthetic_run import SyntheticRun

from veo_core.evaluate.records import SummaryRow
from veo_core.records.manifest import Manifest
from veo_core.registry.records import ModelEntry
from veo_core.storage import Store

SHA = "0123456789abcdef0123456789abcdef01234567"
TRAINED = ("video-vae", "audio-vae", "base", "upsampler")
IMAGE = f"registry.example/veo/curate@sha256:{'9' * 64}"


class ExportedRun:
    """The run in the folder `run-1`; `text` stands in every field that comes from outside."""

    def __init__(self, folder: Path, text: str = "a red circle") -> None:
        self.store = Store(str(folder / "store"))
        self.runs = folder / "runs"
        self.curated = CuratedRun(self.store, self.runs)
        self.curated.folder.mkdir(parents=True)
        self._name_people(text)
        self.made = SyntheticRun(self.curated.folder, self.store, text=text)
        self.manifests = self.curated.manifests()
        for stage, manifest in self.manifests.items():
            self.add(stage, manifest)
        dataset = self.made.tasks[-1].outputs["manifest"]
        for name in TRAINED:
            self.add(f"train-{name}", self.made.trained(name.replace("-", "_")), dataset=dataset)
        self.evaluation = self.made.evaluation()
        self.add("evaluate", self.evaluation)
        gate, decision = self.made.gate()
        self.add("safety-evaluation", gate)
        self.add("register", self._registered(self.made.registered(decision)))

    @property
    def folder(self) -> Path:
        return self.curated.folder

    def add(
        self, name: str, manifest: Manifest | None = None, *, dataset: object = None, **fields: object
    ) -> None:
        """A task; it reads the dataset or what the task before it made."""
        before = self.made.tasks[-1].outputs.get("manifest", []) if self.made.tasks else []
        inputs = {"dataset": dataset} if dataset else {"before": before} if before else {}
        command = ["python", "-m", f"veo_core.curate.{name}", "--root", self.made.text]
        self.made.task(name, manifest, **{"inputs": inputs, "command": command, **fields})

    def write(self, **changes: object) -> "ExportedRun":
        """The run's record, with `changes`."""
        from veo_core.records.run import RunRecord

        path = self.made.write() / "run.json"
        run = RunRecord.model_validate_json(path.read_bytes())
        facts = {"git_sha": SHA, "images": {"curate": IMAGE}, **changes}
        path.write_bytes(run.model_copy(update=facts).to_bytes())
        return self

    def _name_people(self, text: str) -> None:
        """Let `text` be in the names of authors and of the judge, and in the evidence of rights."""
        run = self.curated
        for number, clip in enumerate(run.all):
            author = f"{text} {number}"
            assert clip.annotation is not None
            run.all[number] = clip.model_copy(
                update={
                    "source": clip.source.model_copy(update={"author": author, "evidence": text}),
                    "annotation": clip.annotation.model_copy(update={"judge": text}),
                }
            )
        run.copy, run.kept, run.original = run.all[-1], run.all[:-1], run.all[0]

    def _registered(self, manifest: Manifest) -> Manifest:
        """With the figures of the evaluation."""
        entry = ModelEntry.model_validate_json(self.store.get_bytes(manifest.files["entry"]))
        rows = self.store.get_table(self.evaluation.tables["summary"], SummaryRow)
        described = entry.description.model_copy(update={"metrics": rows})
        self.entry = entry.model_copy(update={"description": described})
        ref = self.store.put_bytes(self.entry.to_bytes(), ".json")
        return manifest.model_copy(update={"files": manifest.files | {"entry": ref}})
