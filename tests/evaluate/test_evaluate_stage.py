"""The evaluation of clips that the world filmed: figures must be what the films are."""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from veo_core.errors import UsageError
from veo_core.evaluate.evaluate import EvaluateConfig, run
from veo_core.evaluate.memorise import Neighbour
from veo_core.evaluate.records import ClipScore, ConfusionRow, EvaluationSummary, SummaryRow
from veo_core.generate.suites import PromptSuite, SuitePrompt
from veo_core.media.decode import decode
from veo_core.media.encode import encode
from veo_core.records.clip import Clip, MediaFacts, Signals, Source
from veo_core.records.files import FileRef
from veo_core.records.generated import GeneratedClip
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.world.film import record, render
from veo_core.world.grammar import phrasings
from veo_core.world.scene import sample_scene

SECONDS, FPS, RATE = 2.125, 8, 48_000


def film(index: int, *, delay: float = 0.0, silent: bool = False) -> tuple[bytes, str]:
    """A clip of a random scene as the generator writes them, and a caption that is true of it."""
    scene = sample_scene(np.random.default_rng(index), aspect=1.0, seconds=2.125, excerpt=2.0)
    frames = render(scene, np.arange(17) / FPS, 64, 64)
    onsets = [time + delay for time in scene.contacts(SECONDS) if 0 <= time + delay < SECONDS]
    audio = None if silent else record(scene, onsets, SECONDS, RATE)
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        encode(file.name, frames, fps=FPS, audio=audio, audio_rate=RATE)
        return Path(file.name).read_bytes(), phrasings(scene.attributes)[0]


def generated_clip(media: FileRef, prompt: str, seed: int, **fields: object) -> GeneratedClip:
    values = {
        "clip_id": media.sha256,
        "prompt": prompt,
        "split": "seen",
        "mode": "t2v",
        "seed": seed,
        "media": media,
        "width": 64,
        "height": 64,
        "fps": FPS,
        "frames": 17,
        "seconds": 2.0,
        "audio_rate": RATE,
    }
    return GeneratedClip.model_validate(values | fields)


def real_clip(media: FileRef, caption: str) -> Clip:
    values = {
        "clip_id": media.sha256,
        "source": Source(source_id=media.sha256, name="a.mp4", file=media, origin="folder", caption=caption),
        "shot": 0,
        "start": 0.0,
        "media": media,
        "facts": MediaFacts(
            width=64, height=64, fps=FPS, frames=17, seconds=2.0, audio_rate=RATE, audio_seconds=SECONDS
        ),
        "signals": {name: 0.5 for name, info in Signals.model_fields.items() if info.annotation is float},
        "packet_hash": "0" * 64,
        "frame_hashes": [],
        "key_frames": [],
        "split": "validation",
    }
    return Clip.model_validate(values)


class Bench:
    """A store with generated and real clips."""

    def __init__(self, root: Path) -> None:
        self.store = Store(str(root / "store"))
        self.generated: list[GeneratedClip] = []
        self.real: list[Clip] = []

    def add(
        self,
        index: int,
        *,
        prompt: str | None = None,
        delay: float = 0.0,
        silent: bool = False,
        split: str = "seen",
    ) -> None:
        data, caption = film(index, delay=delay, silent=silent)
        media = self.store.put_bytes(data, ".mp4")
        self.generated.append(generated_clip(media, prompt or caption, index, split=split))

    def add_real(self, index: int) -> None:
        data, caption = film(index)
        self.real.append(real_clip(self.store.put_bytes(data, ".mp4"), caption))

    def run(self, key: str = "k", files: dict[str, FileRef] | None = None, **config: object) -> Manifest:
        generated = Manifest(
            stage="generate",
            config_digest="c" * 64,
            tables={"generated": self.store.put_table(self.generated, GeneratedClip)},
            files=files or {},
        )
        dataset = Manifest(
            stage="package",
            config_digest="c" * 64,
            tables={"clips": self.store.put_table(self.real, Clip)},
        )
        context = Context(stage="evaluate", store=self.store, seed=0, key=key, workers=1)
        return run(generated=generated, dataset=dataset, config=EvaluateConfig(**config), context=context)

    def scores(self, manifest: Manifest) -> list[ClipScore]:
        return self.store.get_table(manifest.tables["scores"], ClipScore)

    def row(self, manifest: Manifest, metric: str, split: str = "all", mode: str = "t2v") -> SummaryRow:
        summary = EvaluationSummary.model_validate_json(self.store.get_bytes(manifest.files["summary"]))
        assert summary.rows == self.store.get_table(manifest.tables["summary"], SummaryRow)
        found = summary.find(metric, split, mode)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_perfect_clips_score_as_real_ones(bench):
    for index in range(16):
        bench.add(index)
        bench.add_real(100 + index)
    manifest = bench.run()
    assert manifest.rows == 32
    following = bench.row(manifest, "following_all", "seen")
    assert (following.value, following.n) == (1.0, 16)
    assert following.reference == 1.0
    assert following.control < 0.2
    sync = bench.row(manifest, "sync_share_100ms")
    assert sync.value > 0.9
    assert sync.reference > 0.9
    assert sync.control < 0.7
    assert bench.row(manifest, "playable_with_sound").value == 1.0
    assert manifest.metrics["following_all/seen/t2v"] == 1.0


def test_wrong_prompts_are_found_wrong(bench):
    for index in range(6):
        _, other = film(index + 50)
        bench.add(index, prompt=other)
    manifest = bench.run()
    assert bench.row(manifest, "following_all", "seen").value < 0.5
    assert any(not mark.right for score in bench.scores(manifest) for mark in score.attributes)


@pytest.mark.parametrize("delay", [0.15, 0.3])
def test_sound_that_is_late_by_d_has_a_lag_of_d(bench, delay):
    for index in range(8):
        bench.add(index, delay=delay)
    manifest = bench.run()
    assert bench.row(manifest, "sync_lag").value == pytest.approx(delay, abs=0.03)
    assert bench.row(manifest, "sync_share_100ms").value < 0.5


def test_silent_and_undecodable_clips_are_counted(bench):
    bench.add(0)
    bench.add(1, silent=True)
    broken = bench.store.put_bytes(b"no video at all, only these bytes", ".mp4")
    bench.generated.append(generated_clip(broken, "a red circle moving left with a low tone", 2))
    manifest = bench.run()
    assert bench.row(manifest, "playable_with_sound").value == pytest.approx(1 / 3)
    assert bench.row(manifest, "following_count", "seen").value == pytest.approx(2 / 3)
    problems = [score.problem for score in bench.scores(manifest)]
    assert sum(problem.startswith("undecodable") for problem in problems) == 1


def test_evaluation_repeated_gives_equal_bytes(bench):
    for index in range(3):
        bench.add(index)
        bench.add_real(100 + index)
    assert bench.run("one").to_bytes() == bench.run("two").to_bytes()


def test_evaluation_binds_its_summary_to_its_inputs(bench):
    bench.add(0)
    bench.add_real(100)
    manifest = bench.run()
    summary = EvaluationSummary.model_validate_json(bench.store.get_bytes(manifest.files["summary"]))
    assert len(summary.generated) == len(summary.dataset) == 64
    assert summary.generated != summary.dataset


def test_real_clips_are_limited_in_number(bench):
    bench.add(0)
    for index in range(3):
        bench.add_real(100 + index)
    manifest = bench.run(real_clips=2)
    assert sum(score.group == "real" for score in bench.scores(manifest)) == 2


def test_evaluation_of_nothing_is_a_usage_error(bench):
    with pytest.raises(UsageError, match="nothing was generated"):
        bench.run()


def test_a_broken_clip_is_described_without_the_place_of_the_store(bench):
    broken = bench.store.put_bytes(b"\0\0\0\x18ftypmp42 and then nothing of use" * 9, ".mp4")
    bench.generated.append(generated_clip(broken, "a red circle moving left", 0))
    (score,) = bench.scores(bench.run())
    assert score.problem.startswith("undecodable: ")
    assert "objects/" not in score.problem


def png(picture: np.ndarray) -> bytes:
    written, data = cv2.imencode(".png", picture[..., ::-1])
    assert written
    return data.tobytes()


def test_first_picture_is_measured_against_the_one_that_was_given(bench):
    data, caption = film(0)
    media = bench.store.put_bytes(data, ".mp4")
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(data)
        file.flush()
        shown = decode(file.name).frames[0]
    brighter = (np.clip(shown, 0, 245) + np.uint8(10)).astype(np.uint8)
    refs = {
        "first_frame": bench.store.put_bytes(png(brighter), ".png"),
        "first_frame_rebuilt": bench.store.put_bytes(png(shown), ".png"),
    }
    bench.generated.append(generated_clip(media, caption, 0, mode="i2v", split="validation", **refs))
    manifest = bench.run()
    ten_levels = 20 * np.log10(255 / 10)
    for metric, expected in (("first_frame_psnr", ten_levels), ("codec_psnr", ten_levels)):
        assert bench.row(manifest, metric, mode="i2v").value == pytest.approx(expected, abs=0.3)
    assert bench.row(manifest, "first_frame_codec_psnr", mode="i2v").value == 100.0


def test_sound_made_for_a_video_has_its_own_sync(bench):
    for index in range(4):
        data, caption = film(index, delay=0.0 if index < 3 else 0.4)
        media = bench.store.put_bytes(data, ".mp4")
        bench.generated.append(generated_clip(media, caption, index, mode="v2a", split="validation"))
    bench.add(9, silent=True)
    manifest = bench.run()
    assert bench.row(manifest, "sync_share_100ms", mode="v2a").value > 0.6
    assert bench.row(manifest, "sync_share_100ms", mode="t2v").value == 0.0
    assert "first_frame_psnr/all/v2a" not in manifest.metrics


def test_what_is_not_run_has_no_figure_and_says_what_it_needs(bench):
    bench.add(0)
    bench.add_real(100)
    manifest = bench.run()
    rows = bench.store.get_table(manifest.tables["summary"], SummaryRow)
    left_out = {row.metric: row for row in rows if row.note}
    assert {"clip_score", "lpips_drift", "fvd", "fad", "vae_psnr", "memorised", "mel_frechet"} <= set(
        left_out
    )
    assert all(row.value is None and row.note.startswith("not run: needs") for row in left_out.values())
    assert not set(left_out) & {name.split("/")[0] for name in manifest.metrics}


def test_confusion_counts_what_was_seen_for_what_was_wanted(bench):
    bench.add(0)
    _, other = film(7)
    bench.add(1, prompt=other)
    manifest = bench.run()
    rows = bench.store.get_table(manifest.tables["confusion"], ConfusionRow)
    for score in bench.scores(manifest):
        for mark in score.attributes:
            assert any(row.attribute == mark.name and row.wanted in mark.wanted for row in rows)
    assert sum(row.count for row in rows if row.attribute == "count") == 2


def test_a_training_clip_passed_off_as_generated_is_called_memorised(bench):
    for index in range(6):
        bench.add_real(100 + index)
    for index in range(6):
        bench.add_real(200 + index)
        bench.real[-1] = bench.real[-1].model_copy(update={"split": "train"})
    bench.add(203)
    bench.add(300)
    manifest = bench.run()
    found = bench.store.get_table(manifest.tables["neighbours"], Neighbour)
    copies = [row for row in found if row.memorised]
    assert [(row.group, row.training_clip) for row in copies] == [("generated", bench.real[9].clip_id)]
    assert bench.row(manifest, "memorised").value == 0.5
    searched = bench.row(manifest, "memorised_searched", split="training", mode="")
    assert (searched.value, searched.n) == (1.0, 6)


def test_training_clips_that_cannot_be_searched_are_counted(bench, capsys):
    for index in range(5):
        bench.add_real(100 + index)
    for clip in bench.real[1:]:
        bench.real.append(clip.model_copy(update={"clip_id": f"t{clip.clip_id}", "split": "train"}))
    bench.real[-1] = bench.real[-1].model_copy(update={"media": bench.store.put_bytes(b"no film", ".mp4")})
    bench.add(300)
    searched = bench.row(bench.run(), "memorised_searched", split="training", mode="")
    assert (searched.value, searched.n) == (0.75, 4)
    assert "memorised: 1 of 4 training clips cannot be read" in capsys.readouterr().out
    limited = bench.row(
        bench.run("limited", training_clips=1), "memorised_searched", split="training", mode=""
    )
    assert (limited.value, limited.n) == (0.25, 4)


def test_clips_for_the_safety_evaluation_are_measured_and_change_no_figure(bench):
    for index in range(8):
        bench.add(index)
        bench.add_real(100 + index)
    bench.real[-1] = bench.real[-1].model_copy(update={"split": "train"})
    before = bench.run("one")
    bench.add(7, split="red_team")
    bench.add(300, split="unspecified", silent=True)
    after = bench.run("two")
    assert {score.split for score in bench.scores(after)} == {"seen", "real", "unspecified", "red_team"}
    for table in ("summary", "confusion", "features", "neighbours"):
        assert after.tables[table] == before.tables[table]


def test_figures_are_given_by_the_tags_of_the_suite_that_was_generated_for(bench):
    for index in range(4):
        bench.add(index)
        split = "custom" if index else "seen"
        bench.generated[-1] = bench.generated[-1].model_copy(update={"split": split})
    tags = ["concept:animals", "concept:animals", "concept:physics", "concept:physics"]
    suite = PromptSuite(
        name="s",
        sha256="0" * 64,
        prompts=[
            SuitePrompt(identity="", text=clip.prompt, tags=[tag])
            for clip, tag in zip(bench.generated, tags, strict=True)
        ],
    )
    manifest = bench.run(files={"suite": bench.store.put_bytes(suite.to_bytes(), ".json")})
    assert bench.row(manifest, "playable_with_sound", split="concept:animals").n == 1
    assert bench.row(manifest, "playable_with_sound", split="concept:physics").n == 2
    assert bench.row(manifest, "following_all", split="concept:physics").value == 1.0


def test_weights_that_are_not_there_end_the_stage_before_it_measures(bench):
    bench.add(0)
    network = {"path": "/nowhere/i3d.pt", "sha256": "0" * 64}
    with pytest.raises(UsageError, match="there is no such file"):
        bench.run(networks={"video": network})
