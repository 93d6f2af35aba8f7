"""Finished clips: the mark is in them and the manifest names it, by default and everywhere."""

import numpy as np
import pytest
import torch
from tiny_model import tiny_generator

from veo_core.errors import UsageError
from veo_core.generate.finish import Finisher
from veo_core.generate.identity import ModelIdentity, generation_id_of, model_id_of
from veo_core.generate.pipeline import Film
from veo_core.generate.request import Request
from veo_core.media.decode import Decoded, decode
from veo_core.models.files import digest_of_weights
from veo_core.provenance.read import read_manifest
from veo_core.records.base import sha256_bytes
from veo_core.storage import Store
from veo_core.watermark.keys import load_keys
from veo_core.watermark.mark import read
from veo_core.world.film import record, render
from veo_core.world.judge import judge
from veo_core.world.scene import sample_scene

MODEL = ModelIdentity("ab12" + "0" * 60, "veo-world@2", "c" * 64)
REQUEST = Request("a red circle moving left", seed=7)


FPS, SECONDS, RATE = 8.0, 2.125, 48_000


def filmed(seed: int) -> Film:
    """A clip of the world as the embedded model makes them."""
    scene = sample_scene(np.random.default_rng(seed), aspect=1.0, seconds=SECONDS, excerpt=2.0)
    frames = render(scene, np.arange(17) / FPS, 64, 64)
    return Film(frames, record(scene, scene.contacts(SECONDS), SECONDS, RATE)[0], RATE)


@pytest.fixture(scope="module")
def film() -> Film:
    return filmed(3)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "store"))


def decoded(data: bytes, tmp_path) -> Decoded:
    (tmp_path / "clip.mp4").write_bytes(data)
    return decode(tmp_path / "clip.mp4")


def test_finished_clip_carries_the_mark_that_its_manifest_names(film, tmp_path):
    finished = Finisher(MODEL).finish(film, REQUEST, fps=FPS)
    clip = decoded(finished.data, tmp_path)
    reading = read(clip.frames, clip.audio, clip.audio_rate, load_keys({}))
    assert reading.payload is not None
    assert finished.mark is not None
    expected = (0xAB12, generation_id_of(REQUEST.prompt, 7))
    assert (reading.payload.model_id, reading.payload.generation_id) == expected
    assert (finished.mark.model_id, finished.mark.generation_id) == expected
    assert reading.key_id == finished.mark.key_id
    told = read_manifest(finished.data)
    assert (told.state, told.claim and told.claim.model) == ("valid", "veo-world@2")
    assert told.claim is not None
    assert told.claim.soft_binding is not None
    assert told.claim.soft_binding.payload == f"ab12{expected[1]:08x}"
    assert told.claim.prompt_sha256 == sha256_bytes(REQUEST.prompt.encode())
    assert (told.claim.model_digest, told.claim.entry_digest) == (MODEL.digest, "c" * 64)
    assert REQUEST.prompt.encode() not in finished.data
    assert finished.manifest is not None
    assert finished.manifest.local


def test_mark_is_within_its_bounds(film):
    marked = Finisher(MODEL, manifest=False).marked(film, REQUEST)
    error = np.square(marked.frames.astype(float) - film.frames).mean()
    assert 10 * np.log10(255**2 / error) >= 40
    noise = np.square(marked.audio - film.audio).sum()
    assert 10 * np.log10(np.square(film.audio).sum() / noise) >= 25


def test_switches_leave_a_clip_as_it_was_made(film, tmp_path):
    plain = Finisher(MODEL, watermark=False, manifest=False)
    assert plain.marked(film, REQUEST) is film
    finished = plain.finish(film, REQUEST, fps=FPS)
    assert (finished.mark, finished.manifest) == (None, None)
    assert read_manifest(finished.data).state == "none"
    unmarked = Finisher(MODEL, watermark=False).finish(film, REQUEST, fps=FPS)
    assert decoded(unmarked.data, tmp_path).packet_hash == decoded(finished.data, tmp_path).packet_hash
    claim = read_manifest(unmarked.data).claim
    assert claim is not None
    assert claim.soft_binding is None


@pytest.mark.parametrize("given", ["video", "audio"])
def test_what_was_given_is_not_marked(film, given):
    request = Request("a", video=film.frames) if given == "video" else Request("a", audio=film.audio)
    marked = Finisher(MODEL, manifest=False).marked(film, request)
    kept, made = ("frames", "audio") if given == "video" else ("audio", "frames")
    assert np.array_equal(getattr(marked, kept), getattr(film, kept))
    assert not np.array_equal(getattr(marked, made), getattr(film, made))


def test_equal_requests_give_equal_files_in_a_store(film, store):
    one, other = Finisher(MODEL), Finisher(MODEL)
    first = one.put(film, REQUEST, store, fps=FPS)
    assert other.put(film, REQUEST, store, fps=FPS) == first
    assert store.get_bytes(first.file) == first.clip.data
    changed = Finisher(ModelIdentity("cd" * 32)).put(film, REQUEST, store, fps=FPS)
    assert changed.file != first.file
    store.remove_object(first.file.path)
    renewed = one.put(film, REQUEST, store, fps=FPS)
    assert read_manifest(renewed.clip.data).state == "valid"


def test_claim_about_the_same_content_is_signed_anew_where_it_changed(film, store):
    unmarked = [Finisher(ModelIdentity(digest * 32), watermark=False) for digest in ("ab", "cd")]
    one, other = (finisher.put(film, REQUEST, store, fps=FPS) for finisher in unmarked)
    assert one.content == other.content
    claims = [read_manifest(clip.clip.data).claim for clip in (one, other)]
    assert [claim.model_digest for claim in claims if claim] == ["ab" * 32, "cd" * 32]


def test_keys_that_cannot_be_used_are_told_before_any_work():
    with pytest.raises(UsageError, match="VEO_WATERMARK_KEY"):
        Finisher(MODEL, environment={"VEO_WATERMARK_KEY": "short"})
    with pytest.raises(UsageError, match="VEO_C2PA_KEY is not set"):
        Finisher(MODEL, environment={"VEO_C2PA_CERTIFICATE": "chain.pem"})


def test_detectors_see_and_hear_the_same_in_marked_clips(tmp_path):
    """So that an evaluation of marked clips is one of the model, not of the mark."""
    plain, marking = Finisher(MODEL, watermark=False, manifest=False), Finisher(MODEL, manifest=False)
    for seed in range(12):
        film = filmed(seed)
        request = Request("a clip of the world", seed=seed)
        before, after = (
            judge(decoded(finisher.finish(film, request, fps=FPS).data, tmp_path))
            for finisher in (plain, marking)
        )
        assert [(o.shape, o.colour, o.direction) for o in before.objects] == [
            (o.shape, o.colour, o.direction) for o in after.objects
        ], seed
        assert before.pitch == after.pitch, seed
        assert len(before.onsets) == len(after.onsets), seed
        assert np.allclose(before.onsets, after.onsets, atol=0.02), seed
        assert np.allclose(before.contacts, after.contacts, atol=0.05), seed


def test_ids_depend_on_what_they_name():
    assert model_id_of("ab12" + "0" * 60) == 0xAB12
    ids = {generation_id_of(prompt, seed) for prompt in ("a", "b") for seed in (0, 1)}
    assert len(ids) == 4
    assert all(0 <= found < 1 << 32 for found in ids)


def test_model_without_files_is_named_by_its_weights(store):
    generator = tiny_generator(store)
    parts = {"base": generator.base, "upsampler": generator.upsampler}
    before = digest_of_weights(parts)
    assert before == digest_of_weights(dict(reversed(parts.items())))
    with torch.no_grad():
        next(iter(generator.base.parameters())).view(-1)[0].add_(1.0)
    assert digest_of_weights(parts) != before
