"""Clips over HTTP: what is asked for is made, in the store or inline, and equal requests give equal clips."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from served import PROMPT, Client, b64, picture, serving
from tiny_model import CLIP

from veo_core.media.decode import decode
from veo_core.provenance.credentials import LOCAL_ISSUER
from veo_core.provenance.read import read_manifest
from veo_core.records.files import FileRef
from veo_core.registry.local import list_models, load
from veo_core.storage import Store


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def server(root: str, output: Path) -> Iterator[Client]:
    with serving(root, output) as client:
        yield client


def test_prompt_makes_an_mp4_file_with_sound_in_the_store(server, output, tmp_path):
    prediction = server.clip(seed=5, guidance=2.5)
    asked = {"prompt": PROMPT, "mode": "t2v", "seed": 5, "steps": 1, "guidance": 2.5}
    assert prediction | asked == prediction
    digest = prediction["sha256"]
    stored = FileRef(path=f"objects/{digest[:2]}/{digest}.mp4", sha256=digest, bytes=prediction["bytes"])
    data = Store(str(output)).get_bytes(stored)
    served = server.get(prediction["uri"])
    assert (served.headers["content-type"], served.content) == ("video/mp4", data)
    (tmp_path / "a.mp4").write_bytes(data)
    decoded = decode(tmp_path / "a.mp4")
    assert decoded.frames.shape == (9, 32, 32, 3) == (prediction["frames"], 32, 32, 3)
    assert decoded.audio is not None
    assert decoded.audio.shape[1] / decoded.audio_rate == pytest.approx(CLIP.seconds, abs=0.1)


def test_served_clip_carries_the_mark_and_the_manifest_that_the_answer_names(server, root, tmp_path):
    prediction = server.clip(seed=5)
    model = load(Store(root), "veo-tiny@1").description.files.digest
    mark = prediction["mark"]
    assert mark["model_id"] == int(model[:4], 16)
    assert mark["development_key"]
    assert prediction["manifest"] == {"state": "valid", "issuer": LOCAL_ISSUER, "local": True}
    reading = read_manifest(server.get(prediction["uri"]).content)
    assert reading.state == "valid"
    assert reading.claim is not None
    assert (reading.claim.model, reading.claim.model_digest) == ("veo-tiny@1", model)
    assert reading.claim.entry_digest == list_models(Store(root))[0].entry.sha256
    assert reading.claim.soft_binding is not None
    assert reading.claim.soft_binding.payload == f"{mark['model_id']:04x}{mark['generation_id']:08x}"
    assert PROMPT.encode() not in server.get(prediction["uri"]).content


def test_marks_and_manifests_are_switched_off_by_flags(root, tmp_path):
    with serving(root, tmp_path, "--watermark", "off", "--manifest", "off") as plain:
        prediction = plain.clip()
        assert "mark" not in prediction
        assert "manifest" not in prediction
        assert read_manifest(plain.get(prediction["uri"]).content).state == "none"


def test_equal_requests_give_equal_clips_and_other_seeds_others(server):
    first, second, third = (server.clip(seed=seed)["sha256"] for seed in (7, 7, 8))
    assert first == second != third


def test_each_instance_has_the_next_seed_or_its_own(server):
    instances = [{"prompt": PROMPT}, {"prompt": PROMPT}, {"prompt": PROMPT, "seed": 99}]
    predictions = server.predict(*instances, seed=3).json()["predictions"]
    assert [prediction["seed"] for prediction in predictions] == [3, 4, 99]
    assert len({prediction["sha256"] for prediction in predictions}) == 3


def test_inline_clip_is_the_stored_one(server):
    prediction = server.clip(inline=True)
    data = base64.b64decode(prediction["video"]["b64"])
    assert hashlib.sha256(data).hexdigest() == prediction["sha256"]
    assert server.get(prediction["uri"]).content == data
    assert "video" not in server.clip()


@pytest.mark.parametrize("codec", ["png", "mjpeg"])
def test_image_shapes_the_clip_and_is_fitted_to_the_model(server, codec):
    instance = {"prompt": PROMPT, "image": b64(picture(40, 80, codec))}
    (prediction,) = server.predict(instance).json()["predictions"]
    assert prediction["mode"] == "i2v"
    assert prediction["notes"] == ["the image of 80x40 is cut to its centre and scaled to 32x32"]
    assert prediction["sha256"] != server.clip()["sha256"]


def test_image_needs_no_prompt(server):
    assert server.predict({"image": b64(picture())}).status_code == 200


def test_instances_of_different_kinds_keep_their_order(server):
    plain, started = {"prompt": PROMPT}, {"prompt": PROMPT, "image": b64(picture())}
    predictions = server.predict(started, plain, started).json()["predictions"]
    assert [prediction["mode"] for prediction in predictions] == ["i2v", "t2v", "i2v"]


def test_words_that_the_model_never_saw_are_named(server):
    (prediction,) = server.predict({"prompt": "a red zebra"}).json()["predictions"]
    assert prediction["notes"] == ["words that the model was not trained on: zebra"]


def test_numbers_may_be_doubles_as_in_vertex_protobuf_values(server):
    assert server.clip(seed=7.0, steps=1.0)["sha256"] == server.clip(seed=7)["sha256"]


def test_kserve_paths_answer_for_the_one_model(server):
    response = server.predict({"prompt": PROMPT}, path="/v1/models/any:predict")
    assert response.status_code == 200
    assert server.get("/v1/models/any").json() == {"name": "any", "ready": True}


def test_only_clips_that_were_served_can_be_fetched(server, output):
    hidden = Store(str(output)).put_bytes(b"training footage", ".mp4")
    for name in (f"{hidden.sha256}.mp4", f"{'0' * 64}.mp4", "..%2f..%2fetc%2fpasswd", "x"):
        response = server.get(f"/clips/{name}")
        assert response.status_code == 404
        assert response.json()["error"]


def test_metrics_count_answers_clips_and_batches(server):
    names = ('veo_requests_total{code="200",route="predict"}', 'veo_clips_total{mode="t2v"}')
    before = [server.metric(name) for name in names]
    batches = server.metric("veo_generation_seconds_count")
    server.predict(*[{"prompt": PROMPT}] * 3)
    assert [server.metric(name) for name in names] == [before[0] + 1, before[1] + 3]
    assert server.metric("veo_generation_seconds_count") == batches + 1
    assert server.metric("veo_queue_depth") == 0
    assert server.metric("process_resident_memory_bytes") > 0


def test_sampler_of_the_server_is_used_where_a_request_names_none(root, tmp_path, server):
    sampler = "{solver: unipc, steps: 2, video_guidance: 1.5, audio_guidance: 3}"
    with serving(root, tmp_path, "--sampler", sampler) as other:
        response = other.post(json={"instances": [{"prompt": PROMPT}]})
        (prediction,) = response.json()["predictions"]
        assert (prediction["steps"], prediction["guidance"]) == (2, 1.5)
        info = other.get("/info").json()
        assert (info["model"], info["steps"], info["guidance"]) == ("veo-tiny@1", 2, 1.5)


def test_server_draws_as_its_model_was_evaluated_but_for_what_it_is_told(root, tmp_path):
    with serving(root, tmp_path, "--sampler", "{audio_guidance: 3}") as other:
        info = other.get("/info").json()
        assert (info["steps"], info["guidance"]) == (3, 1.25)
        assert (other.clip()["steps"], other.clip(steps=2)["steps"]) == (3, 2)


def test_prompts_of_one_batch_do_not_change_each_other(server, output, tmp_path):
    together = server.predict(*[{"prompt": PROMPT, "seed": seed} for seed in range(4)]).json()["predictions"]
    alone = server.clip(seed=2)
    films = []
    for number, prediction in enumerate((together[2], alone)):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(server.get(prediction["uri"]).content)
        films.append(decode(path).frames.astype(int))
    assert np.abs(films[0] - films[1]).mean() < 4
