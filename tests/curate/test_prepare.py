from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from curation import PREPARE, context, ledger_of

from veo_core.curate import prepare
from veo_core.curate.decisions import ClipTable
from veo_core.curate.prepare import PrepareConfig
from veo_core.curate.produce import Spec
from veo_core.errors import UsageError
from veo_core.media.decode import decode
from veo_core.media.encode import encode
from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Source
from veo_core.records.manifest import Manifest

RATE = 48_000


def scene(seconds=2.5, side=128, fps=16, level=40, left=10):
    """A bright square that moves right and turns round at 1.2 s, when it clicks."""
    times = np.arange(round(seconds * fps)) / fps
    frames = np.full((len(times), side, side, 3), level, np.uint8)
    for frame, time in zip(frames, times, strict=True):
        x = left + round(60 * (1.2 - abs(1.2 - time)))
        frame[50:74, x : x + 24] = (230, 60, 60)
    audio = np.zeros((1, round(seconds * RATE)), np.float32)
    start = round(1.2 * RATE)
    tone = 0.5 * np.sin(np.arange(4800) * 0.1) * np.exp(-np.arange(4800) / 2000)
    audio[0, start : start + 4800] = tone[: audio.shape[1] - start] if audio.shape[1] > start else 0
    return frames, audio


@pytest.fixture
def prepared(store, tmp_path):
    """Prepare files given as (name, frames, audio, arguments of encode) or (name, bytes)."""

    def run(*files, config=PREPARE):
        sources = []
        for name, content, *rest in files:
            path = tmp_path / name
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                audio, *options = rest
                encode(path, content, audio=audio, **({"fps": 16} | (options[0] if options else {})))
            ref = store.put_file(path)
            sources.append(Source(source_id=sha256_bytes(name.encode()), name=name, file=ref, origin="test"))
        table = store.put_table(sources, Source)
        manifest = Manifest(stage="collect", config_digest="", tables={"sources": table})
        result = prepare.run(
            sources=manifest, config=config, context=context(store, "prepare", workers=1, key=config.digest)
        )
        return result, list(ClipTable(result, store)), ledger_of(result, store)

    return run


def tolerant(**spec):
    return PrepareConfig(spec=PREPARE.spec.model_copy(update=spec), max_failed_share=1.0)


def test_sound_stays_where_it_belongs(prepared, store, tmp_path):
    frames, audio = scene()
    _, (clip,), _ = prepared(("a.mp4", frames, audio))
    decoded = decode(store.local_path(clip.media, tmp_path))
    onset = np.argmax(np.abs(decoded.audio[0]) > 0.2) / decoded.audio_rate
    assert onset == pytest.approx(1.2, abs=0.01)
    assert clip.signals.sync == pytest.approx(0.0, abs=0.03)


def test_late_sound_is_measured_as_lag(prepared):
    frames, audio = scene()
    _, (clip,), _ = prepared(("a.mp4", frames, np.roll(audio, round(0.3 * RATE), axis=1)))
    assert clip.signals.sync == pytest.approx(0.3, abs=0.03)


def test_variable_frame_rate_is_resampled_by_time(prepared, store, tmp_path):
    frames, audio = scene()
    rng = np.random.default_rng(0)
    kept = np.flatnonzero((rng.random(len(frames)) > 0.3) | (np.arange(len(frames)) % 39 == 0))
    _, (clip,), _ = prepared(("a.mp4", frames[kept], audio, {"pts": (kept / 16).tolist()}))
    decoded = decode(store.local_path(clip.media, tmp_path))
    assert np.allclose(decoded.pts, np.arange(17) / 8, atol=1e-3)
    shown = decoded.frames[:, 30, :, 0].astype(float) > 120
    centres = [np.flatnonzero(row).mean() for row in shown]
    expected = [(10 + 60 * (1.2 - abs(1.2 - index / 8)) + 12) / 2 for index in range(17)]
    assert np.abs(np.subtract(centres, expected)).max() < 60 / 16 + 1


def test_cut_splits_a_file_and_its_sound(prepared, store, tmp_path):
    first, silence = scene(level=30)[0], np.zeros((1, 5 * RATE // 2), np.float32)
    second, audio = scene(level=60, left=30)
    both = np.concatenate([first, second]), np.concatenate([silence, audio], axis=1)
    manifest, clips, _ = prepared(("a.mp4", *both))
    assert manifest.counts.received == manifest.counts.added == 1
    one, other = sorted(clips, key=lambda clip: clip.shot)
    assert (one.start, other.start) == (0.0, pytest.approx(2.5))
    assert (one.signals.loudness, other.signals.loudness > -60) == (-120.0, True)
    assert one.clip_id != other.clip_id
    assert one.source == other.source


def test_black_bars_are_cropped(prepared, store, tmp_path):
    frames, audio = scene()
    boxed = np.zeros_like(frames)
    boxed[:, 16:112] = frames[:, 16:112]
    _, (clip,), _ = prepared(("a.mp4", boxed, audio))
    assert clip.signals.bars == pytest.approx(32 / 128, abs=0.02)
    assert (clip.facts.height, clip.facts.width) == (64, 86)
    darkest = decode(store.local_path(clip.media, tmp_path)).frames.mean(axis=(0, 2, 3)).min()
    assert darkest > 30


def test_dark_picture_without_bars_is_left_whole(prepared):
    frames, audio = scene(level=12)
    frames[:, :30] = 4
    _, (clip,), _ = prepared(("a.mp4", frames, audio))
    assert (clip.signals.bars, clip.facts.width, clip.facts.height) == (0.0, 64, 64)


def test_short_shot_is_dropped_with_its_length(prepared):
    frames, audio = scene(seconds=1.0)
    _, clips, (decision,) = prepared(("a.mp4", frames, audio))
    assert clips == []
    assert (decision.verdict, decision.rule) == ("dropped", "too_short")
    assert (float(decision.value), float(decision.threshold)) == (pytest.approx(1.0), 2.0)


def test_file_without_sound_gets_silence_and_is_known_as_silent(prepared, store, tmp_path):
    _, (clip,), _ = prepared(("a.mp4", scene()[0], None))
    assert clip.signals.loudness == -120.0
    assert clip.signals.sync is None
    assert not decode(store.local_path(clip.media, tmp_path)).audio.any()


def test_damaged_file_fails_alone(prepared):
    frames, audio = scene()
    manifest, clips, decisions = prepared(
        ("bad.mp4", b"\0\0\0\x18ftypisom" + bytes(400)),
        ("good.mp4", frames, audio),
        ("text.mp4", b"no video at all"),
        config=tolerant(),
    )
    assert [clip.source.name for clip in clips] == ["good.mp4"]
    assert manifest.counts.failed == 2
    assert {d.rule for d in decisions if d.verdict == "failed"} == {"undecodable"}


def test_too_many_failed_files_fail_the_stage(prepared):
    with pytest.raises(UsageError, match=r"prepare: 1 of 1 items failed \(1 undecodable\).*max_failed_share"):
        prepared(("bad.mp4", b"no video"))


def test_file_beyond_a_limit_is_dropped_by_it(prepared):
    _, _, (decision,) = prepared(("a.mp4", *scene()), config=tolerant(max_pixels=100 * 100))
    assert (decision.verdict, decision.rule) == ("dropped", "limit")
    assert "128x128" in decision.evidence


def test_another_specification_gives_another_clip_of_the_same_shot(prepared, store, tmp_path):
    frames, audio = scene()
    _, (small,), _ = prepared(("a.mp4", frames, audio))
    other = PrepareConfig(spec=Spec(short_side=96, fps=12, frames=13, audio_rate=16_000))
    _, (large,), _ = prepared(("a.mp4", frames, audio), config=other)
    assert large.clip_id == small.clip_id
    assert large.media.sha256 != small.media.sha256
    assert (large.facts.width, large.facts.frames, large.facts.audio_rate) == (96, 13, 16_000)


@pytest.mark.parametrize("codec", ["av1", "vp9"])
def test_other_encoders_work_in_the_confined_process(prepared, codec):
    spec = PREPARE.spec.model_copy(update={"codec": codec, "short_side": 256})
    _, (clip,), _ = prepared(("a.mp4", *scene()), config=PREPARE.model_copy(update={"spec": spec}))
    assert (clip.facts.codec, clip.facts.made_by, clip.facts.frames) == (codec, "transcode", 17)


def test_clip_that_is_too_large_is_dropped_with_its_size(prepared):
    _, clips, (decision,) = prepared(("a.mp4", *scene()), config=tolerant(max_bytes=2_000))
    assert clips == []
    assert (decision.verdict, decision.rule, decision.threshold) == ("dropped", "too_large", "2000")
    assert float(decision.value) > 2_000


@pytest.mark.parametrize("side", [128, 720])
def test_preparing_does_not_hang_after_opencv_has_worked_in_threads(prepared, side):
    frames, audio = scene(side=128)
    frames = np.stack([cv2.resize(frame, (side, side)) for frame in frames])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: [cv2.resize(frame, (640, 640)) for frame in frames], range(8)))
    spec = PREPARE.spec.model_copy(update={"short_side": side, "max_pixels": side * side})
    config = PREPARE.model_copy(update={"item_timeout_seconds": 60.0, "spec": spec})
    _, _, (decision,) = prepared(("a.mp4", frames, audio), config=config)
    assert (decision.verdict, decision.evidence) == ("kept", "")
