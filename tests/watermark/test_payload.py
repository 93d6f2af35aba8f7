"""The payload, its code and its keys."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_core.errors import UsageError
from veo_core.watermark.code import CODED_BITS, WORD_BITS, decode, encode
from veo_core.watermark.keys import DEVELOPMENT_KEY, KEY_FILE_VARIABLE, KEY_VARIABLE, Key, load_keys
from veo_core.watermark.payload import INDICES, Payload, key_index, payload_of, signs_of

payloads = st.builds(
    Payload, model_id=st.integers(0, (1 << 16) - 1), generation_id=st.integers(0, (1 << 32) - 1)
)
OTHER = Key(b"a key of the tests, not the other")


def random_payload(generator: np.random.Generator) -> Payload:
    return Payload(model_id=int(generator.integers(1 << 16)), generation_id=int(generator.integers(1 << 32)))


@settings(max_examples=20, deadline=None)
@given(payload=payloads, scale=st.floats(0.01, 100.0))
def test_payload_is_read_back_whatever_the_scale_of_the_soft_values(payload: Payload, scale: float) -> None:
    signs = signs_of(payload, OTHER)
    assert signs.shape == (CODED_BITS,)
    assert payload_of(signs * scale, OTHER) == payload


def test_payload_survives_noise_in_which_one_sign_of_fifteen_is_wrong() -> None:
    generator = np.random.default_rng(5)
    for _ in range(20):
        payload = random_payload(generator)
        soft = 1.5 * signs_of(payload, OTHER) + generator.normal(size=CODED_BITS)
        assert payload_of(soft, OTHER) == payload


def test_code_corrects_any_five_wrong_signs() -> None:
    generator = np.random.default_rng(6)
    for _ in range(10):
        word = generator.integers(0, 2, WORD_BITS).astype(np.uint8)
        soft = encode(word).astype(np.float64)
        soft[generator.choice(CODED_BITS, 5, replace=False)] *= -1
        assert np.array_equal(decode(soft)[0][0], word)


def test_best_word_is_at_least_as_likely_as_any_that_was_sent() -> None:
    generator = np.random.default_rng(7)
    for _ in range(10):
        word = generator.integers(0, 2, WORD_BITS).astype(np.uint8)
        soft = 0.3 * encode(word) + generator.normal(size=CODED_BITS)
        words, totals = decode(soft)
        assert totals[0] >= soft @ encode(word) - 1e-9
        assert np.allclose([soft @ encode(found) for found in words[:8]], totals[:8])
        assert np.all(np.diff(totals) <= 0)


def test_noise_gives_no_payload() -> None:
    generator = np.random.default_rng(8)
    found = [payload_of(generator.normal(size=CODED_BITS), OTHER) for _ in range(40)]
    assert found.count(None) == len(found)


def test_another_key_reads_nothing() -> None:
    payload = Payload(model_id=1, generation_id=2)
    assert payload_of(signs_of(payload, DEVELOPMENT_KEY).astype(np.float64), OTHER) is None


def test_signs_and_indices_of_a_models_clips_have_nothing_in_common() -> None:
    clips = [Payload(model_id=9, generation_id=number) for number in range(400)]
    mean = np.mean([signs_of(clip, OTHER) for clip in clips], axis=0)
    assert np.abs(mean).max() < 5 / np.sqrt(len(clips))
    counts = np.bincount([key_index(clip, OTHER) for clip in clips], minlength=INDICES)
    assert counts.min() > 0
    assert counts.max() < 3 * len(clips) / INDICES


def test_payload_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="model_id"):
        Payload.parse({"model_id": 1 << 16, "generation_id": 0}, where="payload")


def test_keys_come_from_the_environment_first_marks() -> None:
    first, second = load_keys({KEY_VARIABLE: "a-new-key-of-2026-11, an-old-key-of-2025-11"})
    assert (first.secret, second.secret) == (b"a-new-key-of-2026-11", b"an-old-key-of-2025-11")
    assert not first.development


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("a-new-key-of-2026-11\n\nan-old-key-of-2025-11\n")
    assert [key.secret for key in load_keys({KEY_FILE_VARIABLE: str(path)})] == [
        b"a-new-key-of-2026-11",
        b"an-old-key-of-2025-11",
    ]


def test_without_keys_the_development_key_says_what_it_is() -> None:
    (key,) = load_keys({})
    assert key.development
    assert key == DEVELOPMENT_KEY


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({KEY_VARIABLE: "short"}, "key 1 has 5 characters"),
        ({KEY_VARIABLE: " , "}, "holds no key"),
        ({KEY_VARIABLE: "the-same-key-of-2026,the-same-key-of-2026"}, "twice"),
        ({KEY_VARIABLE: "a-new-key-of-2026-11", KEY_FILE_VARIABLE: "keys"}, "both set"),
        ({KEY_FILE_VARIABLE: "/no/such/file"}, "cannot be read"),
    ],
)
def test_bad_keys_are_one_clear_line_that_holds_no_key(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_keys(environment)
    assert "\n" not in str(caught.value)
    assert "the-same-key" not in str(caught.value)


def test_key_is_shown_nowhere_and_its_id_depends_on_it() -> None:
    key = Key(b"a-new-key-of-2026-11")
    assert "a-new-key" not in repr(key) + str(key) + key.id
    assert key.id != OTHER.id
    assert len(key.id) == 8
    assert key.derive("sound") != key.derive("picture")
