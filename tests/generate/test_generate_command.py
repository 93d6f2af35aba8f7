"""`veo generate` and `veo export model`: what they write, and one clear line for whatever is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from tiny_model import CLIP, store_model, tiny_generator

from veo_core.cli.main import main
from veo_core.export.folder import export_model
from veo_core.media.decode import decode
from veo_core.media.encode import encode
from veo_core.provenance.read import read_manifest
from veo_core.records.drawing import Drawing, SamplerConfig
from veo_core.records.manifest import Manifest
from veo_core.records.run import ArtifactRecord, RunRecord, TaskRecord
from veo_core.storage import Store

PROMPT = "a red circle moving left"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model."""
    folder = tmp_path_factory.mktemp("model")
    export_model(tiny_generator(Store(str(folder / "store"))), folder / "veo-tiny")
    return folder / "veo-tiny"


@pytest.fixture
def veo(model: Path, tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs `veo generate` with the model; gives the exit code and what was printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["generate", "--model", str(model), "--steps", "1", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = container.streams.get({kind: 0})[0]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def film(path: Path, frames: int = 9, size: tuple[int, int] = (48, 64)) -> Path:
    pictures = np.random.default_rng(0).integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    encode(path, pictures, fps=8.0, audio=np.zeros((1, 6000 * frames), np.float32))
    return path


def test_prompt_makes_an_mp4_file_with_sound(veo, tmp_path):
    code, out, _ = veo("--prompt", PROMPT, "--out", "a.mp4")
    assert (code, out) == (0, "a.mp4\n")
    decoded = decode(tmp_path / "a.mp4")
    assert decoded.frames.shape == (9, 32, 32, 3)
    assert decoded.audio is not None
    assert decoded.audio.shape[1] / decoded.audio_rate == pytest.approx(CLIP.seconds, abs=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_equal_seeds_give_equal_files(veo, tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert veo(PROMPT, "--seed", seed, "--out", f"{name}.mp4")[0] == 0
    read = {name: decode(tmp_path / f"{name}.mp4").packet_hash for name in "abc"}
    assert read["a"] == read["b"] != read["c"]
    for name in "de":
        assert veo(PROMPT, "--seed", "3", "--no-manifest", "--out", f"{name}.mp4")[0] == 0
    assert (tmp_path / "d.mp4").read_bytes() == (tmp_path / "e.mp4").read_bytes()


def test_prompt_file_makes_a_clip_for_each_line_and_tells_its_progress(veo, tmp_path):
    (tmp_path / "p.txt").write_text(f"{PROMPT}\n\n  a blue square  \n")
    code, out, err = veo("--prompts", "p.txt", "--out", "clips", "--seed", "7")
    assert code == 0
    assert out.split() == ["clips/0001-a-red-circle-moving-left.mp4", "clips/0003-a-blue-square.mp4"]
    assert "generate: 2/2 clips" in err
    assert veo("a blue square", "--seed", "9", "--out", "one.mp4")[0] == 0
    one, other = decode(tmp_path / "one.mp4"), decode(tmp_path / "clips" / "0003-a-blue-square.mp4")
    assert np.abs(one.frames.astype(int) - other.frames).mean() < 2


def test_bad_lines_of_a_prompt_file_are_named_and_stop_no_other(veo, tmp_path):
    encode(tmp_path / "v.mp4", np.zeros((3, 32, 32, 3), np.uint8), fps=8.0)
    rows = [
        json.dumps({"prompt": PROMPT, "seed": 5, "guidance": 1.0}),
        "{no json",
        json.dumps({"prompt": "a", "image": "missing.png"}),
        json.dumps({"promt": "a"}),
        json.dumps({"prompt": "red " * 20}),
        json.dumps({"prompt": "a", "video": "v.mp4"}),
        json.dumps(["a"]),
        json.dumps({"prompt": "a", "sampler": "magic"}),
        json.dumps({"prompt": "a blue square", "steps": 2, "sampler": "unipc"}),
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(rows))
    code, out, err = veo("--prompts", "p.jsonl", "--out", "clips")
    assert code == 2
    assert out.split() == ["clips/0001-a-red-circle-moving-left.mp4", "clips/0009-a-blue-square.mp4"]
    for line, message in {
        2: "not valid JSON",
        3: "missing.png: cannot be read",
        4: "did you mean 'prompt'",
        5: "has 20 tokens, the limit is 12",
        6: "it lasts 0.38 s",
        7: "valid dictionary",
        8: "solver",
    }.items():
        (told,) = [row for row in err.splitlines() if f"p.jsonl:{line}: " in row]
        assert message in told
    assert "2 clips are written, 7 are not" in err


def test_image_of_another_size_is_fitted_and_said_so(veo, tmp_path):
    av_image = np.zeros((40, 80, 3), np.uint8)
    encode(tmp_path / "i.mp4", av_image[None], fps=1.0)
    with av.open(str(tmp_path / "i.mp4")) as container:
        next(container.decode(video=0)).to_image().save(tmp_path / "i.png")
    code, _, err = veo(PROMPT, "--image", "i.png", "--out", "a.mp4")
    assert code == 0
    assert "the image of 80x40 is cut to its centre and scaled to 32x32" in err


def test_video_keeps_its_own_pictures_byte_for_byte_and_gets_a_new_sound(veo, tmp_path):
    source = film(tmp_path / "v.mp4")
    assert veo("--video", "v.mp4", "--prompt", PROMPT, "--out", "a.mp4")[0] == 0
    assert packets(tmp_path / "a.mp4", "video") == packets(source, "video")
    assert packets(tmp_path / "a.mp4", "audio") != packets(source, "audio")
    made = decode(tmp_path / "a.mp4")
    assert np.array_equal(made.frames, decode(source).frames)
    assert made.audio is not None
    assert np.abs(made.audio).max() > 0.01


def test_longer_video_is_cut_at_its_own_size(veo, tmp_path):
    source = film(tmp_path / "v.mp4", frames=40)
    code, _, err = veo("--video", "v.mp4", "--out", "a.mp4")
    assert code == 0
    assert "only the first 1 s of the video are used" in err
    made, original = decode(tmp_path / "a.mp4").frames, decode(source).frames
    assert made.shape == (9, 48, 64, 3)
    assert np.abs(made.astype(int) - original[:9]).mean() < 8


def test_clips_are_marked_and_signed_unless_told_otherwise(veo, tmp_path):
    film(tmp_path / "v.mp4")
    switches = {"a": (), "b": ("--no-watermark",), "c": ("--no-manifest",), "d": ("--video", "v.mp4")}
    for name, flags in switches.items():
        assert veo(PROMPT, *flags, "--seed", "3", "--out", f"{name}.mp4")[0] == 0
    readings = {name: read_manifest(tmp_path / f"{name}.mp4") for name in switches}
    assert {name: reading.state for name, reading in readings.items()} == {
        "a": "valid",
        "b": "valid",
        "c": "none",
        "d": "valid",
    }
    bindings = {name: reading.claim and reading.claim.soft_binding for name, reading in readings.items()}
    assert bindings["a"] == bindings["d"] != bindings["b"] is None
    types = {name: reading.source_type for name, reading in readings.items()}
    assert (types["a"], types["d"]) == ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
    a, b, c = (decode(tmp_path / f"{name}.mp4").packet_hash for name in "abc")
    assert a == c != b


def test_sound_is_kept_and_gets_pictures(veo, tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 600 * np.arange(48_000) / 48_000, dtype=np.float32)
    encode(tmp_path / "s.mp4", np.zeros((9, 16, 16, 3), np.uint8), fps=8.0, audio=tone[None])
    assert veo("--audio", "s.mp4", "--prompt", PROMPT, "--out", "a.mp4")[0] == 0
    heard = decode(tmp_path / "a.mp4", mono=True)
    assert heard.audio_rate == 48_000
    assert np.abs(np.fft.rfft(heard.audio[0, :48_000])).argmax() == pytest.approx(600, abs=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to make"),
        (["--prompts", "empty.txt"], "empty.txt: it holds no prompt"),
        (["--prompts", "none.txt"], "none.txt: cannot be read"),
        (["--prompts", "empty.txt", "a"], "not both"),
        (["a", "b", "--out", "a.mp4"], "several clips need a folder"),
        (["a", "--out", "empty.txt/a.mp4"], "cannot be written"),
        (["a", "--out", "missing/a.mp4"], "cannot be written: No such file"),
        (["red " * 20], "the limit is 12"),
        (["a", "--image", "empty.txt"], "not a PNG, JPEG, WebP or BMP file"),
        (["a", "--steps", "0"], "steps"),
        (["a", "--seed", "-1"], "seed"),
        (["a", "--batch", "0"], "at least 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(veo, tmp_path, arguments, message):
    (tmp_path / "empty.txt").write_text("\n \n")
    code, out, err = veo(*arguments)
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert list(tmp_path.glob("*.mp4")) == []


def test_words_that_the_model_never_saw_are_named(veo):
    assert "words that the model was not trained on: zebra" in veo("a red zebra", "--out", "a.mp4")[2]


@pytest.mark.parametrize("reference", ["nobody", "nobody@1", "2099"])
def test_unknown_model_is_refused(tmp_path, capsys, reference):
    assert main(["generate", "a", "--model", reference, "--root", str(tmp_path / "s")]) == 2
    assert "registered: none" in capsys.readouterr().err.replace("there are: none", "registered: none")


def run_folder(root: Path, parts: dict[str, Manifest]) -> Path:
    """The folder of a run whose tasks published these manifests."""
    folder = root / "20260101-000000-000001"
    folder.mkdir(parents=True)
    tasks = []
    for name, manifest in parts.items():
        (folder / f"{name}.json").write_bytes(manifest.to_bytes())
        outputs = {"manifest": [ArtifactRecord(uri=f"{name}.json", sha256="")]}
        tasks.append(TaskRecord(name=name, component=name, state="SUCCEEDED", outputs=outputs))
    record = RunRecord(
        run_id=folder.name, pipeline="p", state="SUCCEEDED", created=0, ir_digest="", tasks=tasks
    )
    (folder / "run.json").write_bytes(record.to_bytes())
    return folder


def test_model_of_a_run_is_exported_and_makes_the_same_clip(tmp_path, capsys):
    store = Store(str(tmp_path / "store"))
    parts = {
        name: Manifest(stage=name, config_digest="", files=files)
        for name, files in store_model(store).items()
    }
    run_folder(tmp_path / "runs", parts)
    places = ["--root", str(tmp_path / "store"), "--runs", str(tmp_path / "runs")]
    assert main(["export", "model", "latest", str(tmp_path / "out"), *places]) == 0
    for name, reference in (("a", "20260101"), ("b", str(tmp_path / "out"))):
        out = str(tmp_path / f"{name}.mp4")
        assert main(["generate", PROMPT, "--model", reference, "--steps", "1", "--out", out, *places]) == 0
    assert decode(tmp_path / "a.mp4").packet_hash == decode(tmp_path / "b.mp4").packet_hash
    claims = [read_manifest(tmp_path / f"{name}.mp4").claim for name in "ab"]
    assert claims[0] == claims[1]


@pytest.mark.parametrize("broken", ["missing", "altered", "another"])
def test_weights_that_are_missing_altered_or_of_another_configuration_are_named(tmp_path, capsys, broken):
    store = Store(str(tmp_path / "store"))
    files = store_model(store)
    weights = files["base"]["weights"]
    path = tmp_path / "store" / weights.path
    if broken == "missing":
        path.unlink()
    elif broken == "altered":
        path.write_bytes(b"x" + path.read_bytes())
    else:
        files["base"]["weights"] = store_model(store, width=48)["base"]["weights"]
    parts = {name: Manifest(stage=name, config_digest="", files=refs) for name, refs in files.items()}
    run_folder(tmp_path / "runs", parts)
    places = ["--root", str(tmp_path / "store"), "--runs", str(tmp_path / "runs")]
    assert main(["generate", "a", "--model", "latest", "--out", str(tmp_path / "a.mp4"), *places]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert {"missing": "is missing", "altered": "was altered", "another": "another configuration"}[
        broken
    ] in line


def test_model_of_a_run_draws_as_its_clips_were_drawn_unless_told_otherwise(tmp_path):
    store = Store(str(tmp_path / "store"))
    drawing = Drawing(sampler=SamplerConfig(steps=2, video_guidance=3.0, audio_guidance=3.0))
    manifests = {
        **{
            name: Manifest(stage=name, config_digest="", files=files)
            for name, files in store_model(store).items()
        },
        "generate": Manifest(
            stage="generate",
            config_digest="",
            files={"drawing": store.put_bytes(drawing.to_bytes(), ".json")},
        ),
    }
    run_folder(tmp_path / "runs", manifests)
    places = ["--root", str(tmp_path / "store"), "--runs", str(tmp_path / "runs"), "--no-manifest"]

    def made(*flags: str) -> bytes:
        out = tmp_path / "clip.mp4"
        assert main(["generate", PROMPT, "--model", "latest", "--out", str(out), *places, *flags]) == 0
        return out.read_bytes()

    usual = made()
    assert usual == made("--steps", "2", "--guidance", "3")
    assert usual != made("--steps", "1")
    assert usual != made("--guidance", "1")


def test_run_without_a_whole_model_is_refused(tmp_path, capsys):
    store = Store(str(tmp_path / "store"))
    parts = {
        name: Manifest(stage=name, config_digest="", files=files)
        for name, files in store_model(store).items()
        if name != "upsampler"
    }
    run_folder(tmp_path / "runs", parts)
    places = ["--root", str(tmp_path / "store"), "--runs", str(tmp_path / "runs")]
    assert main(["generate", "a", "--model", "latest", "--out", str(tmp_path / "a.mp4"), *places]) == 2
    assert "has trained no upsampler" in capsys.readouterr().err


def test_a_refused_prompt_of_a_file_is_told_and_the_others_are_made(veo, tmp_path):
    (tmp_path / "p.txt").write_text(f"{PROMPT}\na hazard sign\na blue square\n")
    code, out, err = veo("--prompts", "p.txt", "--out", "clips")
    assert code == 2
    assert out.split() == ["clips/0001-a-red-circle-moving-left.mp4", "clips/0003-a-blue-square.mp4"]
    assert "error: p.txt:2: the safety filter refuses this: hazard (code 950)" in err.splitlines()
    assert "2 clips are written, 1 are not" in err
