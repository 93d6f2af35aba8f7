"""The operator's hash lists: how they are read, how pictures match, and that nothing goes past them."""

import base64
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from curation import PREPARE, context, ledger_of
from scripted import completion

from veo_core.curate import describe, prepare
from veo_core.curate.describe import DescribeConfig
from veo_core.curate.hash_list import (
    HashListConfig,
    HashListFile,
    HashLists,
    PictureHash,
    nearest,
    picture_hashes,
)
from veo_core.errors import UsageError
from veo_core.media.encode import encode
from veo_core.media.signals import luma_of
from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Clip, Source
from veo_core.records.manifest import Manifest

SHA256, MD5, PHASH, PDQ = "ab" * 32, "cd" * 16, "0123456789abcdef", "f0" * 32


@pytest.fixture
def lists(tmp_path):
    """A configuration of lists with the given contents; `options` are further fields of it."""

    def write(*contents, types=(), **options):
        files = []
        for number, content in enumerate(contents):
            path = tmp_path / f"list-{number}"
            path.write_text(content)
            kind = types[number] if number < len(types) else None
            files.append(HashListFile(path=str(path), sha256=sha256_bytes(path.read_bytes()), type=kind))
        return HashListConfig(files=tuple(files), **options)

    return write


def picture_of(phash="0" * 16, pdq=(), quality=100):
    return PictureHash(phash=phash, pdq=list(pdq), quality=quality)


FORMS = {
    "json lines": "\n".join(
        json.dumps({"type": kind, "value": value})
        for kind, value in (("sha256", SHA256), ("MD5", MD5), ("phash", PHASH), ("pdq", PDQ))
    ),
    "json array of ThreatExchange": json.dumps(
        [
            {"type": "HASH_SHA256", "indicator": SHA256},
            {"type": "HASH_MD5", "indicator": MD5},
            {"type": "PHASH", "indicator": PHASH},
            {"type": "HASH_PDQ", "indicator": PDQ.upper(), "id": 7},
        ]
    ),
    "csv of the matcher": f"signal_type,signal_str,note\nsha256,{SHA256},a\nvideo_md5,{MD5},\n"
    f'phash,{PHASH},"x, y"\npdq,{PDQ},\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_exchanged_forms_are_read(lists, form):
    found = HashLists(lists(FORMS[form]))
    assert found.match_digest(SHA256).type == "sha256"
    assert found.match_pictures([picture_of(PHASH)]).type == "phash"
    assert found.match_pictures([picture_of("f" * 16, [PDQ])]).type == "pdq"
    assert found.match_digest("00" * 32) is None


def test_plain_text_tells_types_by_length_unless_one_is_given(lists):
    text = f"# a comment\n{SHA256.upper()}\n\n{PHASH}\n{MD5}\n"
    found = HashLists(lists(text, PDQ, types=(None, "pdq")))
    assert found.match_digest(SHA256) is not None
    assert found.match_pictures([picture_of(PHASH)]) is not None
    assert found.match_digest(PDQ) is None
    assert found.match_pictures([picture_of("f" * 16, [PDQ])]).list_name == "list-1"


def test_file_listed_by_md5_is_found(lists, tmp_path):
    path = tmp_path / "film"
    path.write_bytes(b"film")
    digest = hashlib.md5(b"film", usedforsecurity=False).hexdigest()
    assert HashLists(lists(digest)).match_file(path).type == "md5"
    assert HashLists(lists(MD5)).match_file(path) is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("0" * 64 + "\npicture.jpg", "line 2: no hash of a known length"),
        ("zz" * 32, "line 1: a sha256 has 64 hexadecimal digits"),
        ('{"type": "pdq", "value": "12"}', "line 1: a pdq has 64 hexadecimal digits"),
        ('{"type": "photodna", "value": "12"}', "line 1: type 'photodna' cannot be matched"),
        ('{"type": "pdq"}', "needs a type .type. and a value"),
        ('{"type": "pdq",', "line 1: not valid JSON"),
        ("[1]", "entry 1: no object"),
    ],
)
def test_entry_that_cannot_be_matched_is_a_usage_error(lists, content, problem):
    with pytest.raises(UsageError, match=problem):
        HashLists(lists(content))


def test_types_that_the_operator_names_are_passed_over(lists):
    content = json.dumps([{"type": "PhotoDNA", "value": "12"}, {"type": "pdq", "value": PDQ}])
    found = HashLists(lists(content, skip_types=("photodna",)))
    assert found.match_pictures([picture_of("f" * 16, [PDQ])]) is not None


def test_changed_list_must_change_the_configuration(lists, tmp_path):
    config = lists(SHA256)
    (tmp_path / "list-0").write_text(SHA256 + "\n" + "00" * 32)
    with pytest.raises(UsageError, match="its sha256 is"):
        HashLists(config)


@pytest.mark.parametrize(("flipped", "found"), [(0, True), (31, True), (32, False)])
def test_pdq_matches_up_to_the_distance(lists, flipped, found):
    value = int(PDQ, 16)
    for bit in np.random.default_rng(flipped).permutation(256)[:flipped].tolist():
        value ^= 1 << bit
    match = HashLists(lists(PDQ, types=("pdq",))).match_pictures([picture_of("f" * 16, [f"{value:064x}"])])
    assert (match is not None) == found
    if match:
        assert f"{flipped} of 256 bits" in str(match)


def test_flat_picture_is_not_matched_by_pdq(lists):
    found = HashLists(lists(PDQ, types=("pdq",)))
    assert found.match_pictures([picture_of("f" * 16, [PDQ], quality=49)]) is None


def test_nearest_of_many_is_that_of_an_exhaustive_search():
    rng = np.random.default_rng(3)
    table = rng.integers(0, 1 << 63, (4, 40_000), dtype=np.uint64)
    queries = rng.integers(0, 1 << 63, (3, 4), dtype=np.uint64)
    queries[1] = table[:, 39_999] ^ np.uint64(0b1011)
    plain = min(
        int(np.bitwise_count(table ^ query[:, None]).sum(axis=0, dtype=np.int64).min()) for query in queries
    )
    assert nearest(table, queries, 31) == plain == 12
    assert nearest(table, queries, 11) is None
    assert nearest(table[:, :0], queries, 256) is None


def film(seed, seconds=3.0, fps=16, side=128):
    """Drifting blobs of many sizes: what hashes of pictures tell apart."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(n, n, 3)), (2 * side, 2 * side), interpolation=cv2.INTER_CUBIC) / n**0.5
        for n in (8, 16, 32, 64, 128)
    ]
    large = cv2.normalize(sum(layers), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    frames = [large[20 : 20 + side, t : t + side] for t in range(round(seconds * fps))]
    audio = 0.3 * rng.standard_normal((1, round(seconds * 48_000))).astype(np.float32)
    return np.stack(frames), audio


def collected(store, tmp_path, films):
    """The manifest of a collect stage that found the films by name."""
    sources = []
    for name, (frames, audio, options) in films.items():
        path = tmp_path / f"{name}.mp4"
        encode(path, frames, fps=16, audio=audio, **options)
        sources.append(
            Source(
                source_id=sha256_bytes(name.encode()),
                name=f"{name}.mp4",
                file=store.put_file(path),
                origin="test",
                author="somebody",
                source_url="https://example.org/film",
            )
        )
    return Manifest(stage="collect", config_digest="", tables={"sources": store.put_table(sources, Source)})


def stored(store):
    return {path.name for path in store_root(store).rglob("*") if path.is_file()}


def store_root(store):
    return Path(store.root)


def shown_as(frames, how):
    if how == "letterboxed":
        return np.pad(frames, ((0, 0), (24, 24), (0, 0), (0, 0)))
    if how == "turned":
        return np.rot90(frames, axes=(1, 2))
    return frames[:, :, ::-1] if how == "mirrored" else frames


@pytest.mark.parametrize("how", ["re-encoded", "letterboxed", "mirrored", "turned"])
def test_copy_of_a_listed_film_is_dropped_and_nothing_of_it_is_stored(store, tmp_path, lists, how):
    frames, audio = film(1)
    (listed,) = picture_hashes(luma_of(frames[16:17]), np.zeros(1))
    config = PREPARE.model_copy(update={"hash_lists": lists(listed.pdq[0], types=("pdq",))})
    other, sound = film(2)
    films = {"bad": (shown_as(frames, how), audio, {"crf": 32}), "good": (other, sound, {})}
    sources = collected(store, tmp_path, films)
    result = prepare.run(sources=sources, config=config, context=context(store, "prepare", workers=1))

    bad = sha256_bytes(b"bad")
    decisions = {decision.source: decision for decision in ledger_of(result, store)}
    verdict = decisions.pop(bad)
    assert (verdict.item, verdict.verdict, verdict.rule) == (bad, "dropped", "hash_list")
    assert f"veo forget {bad}" in verdict.evidence
    assert [decision.verdict for decision in decisions.values()] == ["kept"]
    (clip,) = store.get_table(result.tables["clips"], Clip)
    pictures = {path.name for path in store_root(store).rglob("*.jpg")}
    assert pictures == {ref.path.rsplit("/", 1)[1] for ref in clip.key_frames}
    films = {path.name.split(".")[0] for path in store_root(store).rglob("*.mp4")}
    collected_films = {source.file.sha256 for source in store.get_table(sources.tables["sources"], Source)}
    assert films == collected_films | {clip.media.sha256}


def test_listed_film_is_sent_to_no_judge(store, tmp_path, lists, serve):
    (bad, sound), (other, music) = film(1), film(2)
    (listed,) = picture_hashes(luma_of(bad[:1]), np.zeros(1))
    config = PREPARE.model_copy(update={"hash_lists": lists(listed.pdq[0], types=("pdq",))})
    sources = collected(store, tmp_path, {"bad": (bad, sound, {}), "good": (other, music, {})})
    result = prepare.run(sources=sources, config=config, context=context(store, "prepare", workers=1))
    server = serve(lambda body: (200, {}, completion({"description": "blobs"})))
    described = describe.run(clips=result, config=DescribeConfig(), context=context(store, "describe"))
    assert len(server.requests) == described.counts.received == 1
    (clip,) = store.get_table(described.tables["clips"], Clip)
    sent = [part for part in server.requests[0]["messages"][0]["content"] if part["type"] == "image_url"]
    shown = [base64.b64encode(store.get_bytes(frame)).decode() for frame in clip.key_frames]
    assert [part["image_url"]["url"].partition(",")[2] for part in sent] == shown
    assert clip.source.source_id == sha256_bytes(b"good")


def test_what_is_recorded_of_a_listed_file_is_its_id_and_digest(store, tmp_path, lists):
    sources = collected(store, tmp_path, {"bad": (*film(1), {})})
    (source,) = store.get_table(sources.tables["sources"], Source)
    config = PREPARE.model_copy(update={"hash_lists": lists(source.file.sha256)})
    before = stored(store)
    result = prepare.run(sources=sources, config=config, context=context(store, "prepare", workers=1))
    (decision,) = ledger_of(result, store)
    assert (decision.rule, decision.value) == ("hash_list", source.file.sha256)
    new = [path for path in store_root(store).rglob("*") if path.is_file() and path.name not in before]
    assert new
    for path in new:
        assert not any(secret in path.read_bytes() for secret in (b"somebody", b"example.org", b"bad.mp4"))
