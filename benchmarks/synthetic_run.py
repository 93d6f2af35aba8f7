"""A finished run of the pipeline over a made-up archive, of any size, written in seconds.

    python -m benchmarks.synthetic_run FOLDER --clips 100000

makes FOLDER/store and FOLDER/runs/RUN with every stage from collect to register. Tables, manifests, scores
and registry are the product's own; a few films of the world stand for all clips, and shards hold those alone.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import synthetic_model as model
from benchmarks.synthetic_archive import BUCKET, CLIP_STAGES, Archive, Film, sha256_of
from benchmarks.synthetic_tables import ArchiveTables
from veo_core.records.clip import NearPair
from veo_core.records.dataset import DatasetSpec, PackedBucket, Shard
from veo_core.records.files import TableRef
from veo_core.records.ledger import Outcome
from veo_core.records.manifest import Manifest
from veo_core.records.run import ArtifactRecord, RunRecord, TaskRecord
from veo_core.registry.records import LicenceCount, TrainingData
from veo_core.runner.ir import load
from veo_core.runner.provenance import facts
from veo_core.storage import Store

FILMS, GENERATED = 16, 12
IR = Path(__file__).parents[1] / "pipelines" / "compiled" / "embedded.yaml"
_CREATED = 1_790_000_000.0
INPUTS: dict[str, dict[str, str]] = {
    "collect": {},
    "prepare": {"sources": "collect"},
    "describe": {"clips": "prepare"},
    "dedup": {"clips": "describe"},
    "safety-filter": {"clips": "dedup"},
    "quality-filter": {"clips": "safety-filter"},
    "annotate": {"clips": "quality-filter"},
    "package": {"clips": "annotate"},
    "train-video-vae": {"dataset": "package"},
    "train-audio-vae": {"dataset": "package"},
    "encode-latents": {"dataset": "package", "video_vae": "train-video-vae", "audio_vae": "train-audio-vae"},
    "train-base": {"latents": "encode-latents"},
    "train-upsampler": {"latents": "encode-latents", "video_vae": "train-video-vae"},
    "generate": {
        "latents": "encode-latents",
        "video_vae": "train-video-vae",
        "audio_vae": "train-audio-vae",
        "base": "train-base",
        "upsampler": "train-upsampler",
    },
    "evaluate": {"generated": "generate", "dataset": "package"},
    "safety-evaluation": {"generated": "generate", "evaluation": "evaluate"},
    "condition-6/register": {
        "dataset": "package",
        "latents": "encode-latents",
        "video_vae": "train-video-vae",
        "audio_vae": "train-audio-vae",
        "base": "train-base",
        "upsampler": "train-upsampler",
        "generated": "generate",
        "evaluation": "evaluate",
        "safety": "safety-evaluation",
    },
}


@dataclass
class _Folder:
    """The run's folder while it is written."""

    path: Path
    store: Store
    parameters: dict[str, Any]
    seed: int
    tasks: dict[str, TaskRecord] = field(default_factory=dict)

    def add(self, name: str, manifest: Manifest, **returned: str) -> None:
        """Put a task and its manifest on record."""
        component = name.rpartition("/")[2]
        place = self.path / "tasks" / name
        (place / "outputs").mkdir(parents=True)
        (place / "outputs" / "manifest").write_bytes(manifest.to_bytes())
        (place / "log.txt").write_text(f"{component}: {manifest.rows} rows\n", encoding="utf-8")
        inputs = {role: self.tasks[source].outputs["manifest"] for role, source in INPUTS[name].items()}
        config = self.parameters.get(f"{component.replace('-', '_')}_config", {})
        parameters = {"config": config, "root": self.store.root, "seed": self.seed}
        counts = {} if manifest.counts is None else manifest.counts.model_dump()
        metadata = {"digest": manifest.digest, "rows": manifest.rows, "stage": manifest.stage}
        artifact = ArtifactRecord(
            uri=str(place / "outputs" / "manifest"),
            sha256=manifest.digest,
            metadata=metadata | counts | manifest.metrics,
        )
        started = _CREATED + 60.0 * len(self.tasks)
        self.tasks[name] = TaskRecord(
            name=name,
            component=component,
            state="SUCCEEDED",
            depends_on=sorted(set(INPUTS[name].values())),
            started=started,
            finished=started + 55.0,
            attempts=1,
            exit_code=0,
            reason="miss: never run before",
            cache_key=sha256_of(name),
            command=["python", "-m", f"veo_core.{component}"],
            parameters=parameters | {f"{role}_digest": refs[0].sha256 for role, refs in inputs.items()},
            inputs=inputs,
            outputs={"manifest": [artifact]},
            output_parameters={"digest": manifest.digest, **returned},
            log=f"tasks/{name}/log.txt",
            peak_rss_bytes=1 << 30,
        )

    def finish(self, ir_digest: str) -> None:
        record = RunRecord(
            run_id=self.path.name, pipeline="veo-from-scratch", state="SUCCEEDED", created=_CREATED,
            finished=_CREATED + 60.0 * len(self.tasks), ir_digest=ir_digest, parameters=self.parameters,
            tasks=list(self.tasks.values()), **facts(),
        )  # fmt: skip
        (self.path / "run.json").write_bytes(record.to_bytes())


def write(folder: Path, clips: int, seed: int = 0) -> Path:
    """Write a run into `folder`/runs and what it published into `folder`/store; the run's folder.

    Args:
        folder: may hold runs of other seeds.
        clips: clips that the stage prepare makes, at least 100.
        seed: of ids, names, figures and decisions; it also names the run.
    """
    store = Store(str(folder / "store"))
    pipeline = load(IR)
    defaults = {name: spec.default for name, spec in pipeline.root.parameters.items()}
    path = folder / "runs" / f"20260917-0000{seed:02d}-000000"
    path.mkdir(parents=True)
    (path / "pipeline.yaml").write_text(pipeline.text, encoding="utf-8")
    run = _Folder(path, store, defaults | {"root": store.root, "seed": seed}, seed)
    films = model.film_world(FILMS, store)
    archive = Archive(films, clips, seed)
    dataset, funnel = _curate(run, archive)
    _model(run, archive, dataset, funnel)
    run.finish(pipeline.digest)
    return path


def _curate(run: _Folder, archive: Archive) -> tuple[Manifest, list[Outcome]]:
    """Every stage from collect to package; the dataset and all rows of the funnel."""
    store = run.store
    funnel: list[Outcome] = []
    write = ArchiveTables(archive, store)
    handed_on: dict[str, TableRef] = {}
    dataset = None
    for stage in ("collect", "prepare", *CLIP_STAGES):
        funnel += archive.outcomes(stage)
        counts = archive.counts(stage)
        tables = {"ledger": write.ledger(stage), "funnel": store.put_table(funnel, Outcome)}
        if stage == "collect":
            tables["sources"] = write.sources()
        else:
            tables["clips"] = write.clips(stage)
        if stage == "dedup":
            handed_on["near_pairs"] = store.put_table(archive.near_pairs(), NearPair)
        manifest = Manifest(
            stage=stage,
            config_digest=model.CONFIG,
            rows=counts.kept,
            counts=counts,
            tables=handed_on | tables,
        )
        dataset = manifest if stage != "package" else _packed(manifest, write.pairs(), archive, store)
        run.add(stage.replace("_", "-"), dataset)
    assert dataset is not None
    return dataset, funnel


def _packed(manifest: Manifest, pairs: TableRef, archive: Archive, store: Store) -> Manifest:
    """The dataset with its shards and facts; every shard is the same file."""
    file = model.shard_file(archive.films, store)
    shards = [
        Shard(name=name, split=split, bucket=BUCKET, clips=clips, file=file)
        for (split, name), clips in sorted(archive.shards().items(), key=lambda entry: entry[0][1])
    ]
    spec = _spec(archive.films[0], shards)
    train = [shard.file for shard in shards if shard.split == "train"]
    files = {shard.name: shard.file for shard in shards if shard.split == "validation"}
    bucket = spec.buckets[0]
    return manifest.model_copy(
        update={
            "tables": manifest.tables | {"shards": store.put_table(shards, Shard), "pairs": pairs},
            "files": files | {"spec.json": store.put_bytes(spec.to_bytes(), ".json")},
            "shards": train,
            "metrics": {
                "train_clips": float(bucket.train_clips),
                "validation_clips": float(bucket.validation_clips),
                "buckets": 1.0,
            },
        }
    )


def _spec(film: Film, shards: list[Shard]) -> DatasetSpec:
    width, height, frames = map(int, BUCKET.split("x"))
    clips = {
        split: sum(shard.clips for shard in shards if shard.split == split)
        for split in ("train", "validation")
    }
    bucket = PackedBucket(
        width=width, height=height, frames=frames, seconds=(frames - 1) / film.facts.fps,
        train_clips=clips["train"], validation_clips=clips["validation"],
    )  # fmt: skip
    return DatasetSpec(fps=film.facts.fps, audio_rate=film.facts.audio_rate, buckets=[bucket])


def _model(run: _Folder, archive: Archive, dataset: Manifest, funnel: list[Outcome]) -> None:
    """Every stage from training to registration."""
    store, seed = run.store, run.seed
    parts = {part: model.trained(part, seed, store) for part in model.PARTS}
    latents = Manifest(
        stage="encode_latents",
        config_digest=model.CONFIG,
        rows=dataset.rows,
        files={"statistics": store.put_bytes(b"{}", ".json")},
        metrics=dataset.metrics,
    )
    made = model.generated(archive.films[:GENERATED], parts, store)
    evaluated = model.evaluation(made, dataset, archive.films[GENERATED:], seed, store)
    judged = model.safety(made, evaluated, store)
    behind = parts | {
        "dataset": dataset,
        "latents": latents,
        "generated": made,
        "evaluation": evaluated,
        "safety": judged,
    }
    licences = [LicenceCount(licence=name, sources=s, clips=c) for name, s, c in archive.licences()]
    data = TrainingData(
        sources=sum(row.sources for row in licences),
        train_clips=int(dataset.metrics["train_clips"]),
        validation_clips=int(dataset.metrics["validation_clips"]),
        train_seconds=dataset.metrics["train_clips"] * archive.films[0].facts.seconds,
        licences=licences,
    )
    entry, reference = model.registered(behind, data, funnel, seed, store)
    run.add("train-video-vae", parts["video_vae"])
    run.add("train-audio-vae", parts["audio_vae"])
    run.add("encode-latents", latents)
    run.add("train-base", parts["base"])
    run.add("train-upsampler", parts["upsampler"])
    run.add("generate", made)
    run.add("evaluate", evaluated)
    run.add("safety-evaluation", judged, approved="true")
    run.add("condition-6/register", entry, model=reference)


def main() -> None:
    """Write a run, and print its folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthetic_run", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets store/ and runs/")
    parser.add_argument("--clips", type=int, default=100_000, help="default: 100000")
    parser.add_argument("--seed", type=int, default=0, help="names the run, too (default: 0)")
    arguments = parser.parse_args()
    started = time.perf_counter()
    path = write(arguments.folder, arguments.clips, arguments.seed)
    print(f"{path} ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
