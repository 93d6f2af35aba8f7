import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.watermark_sounds import FURTHER, KINDS, REQUIRED, coded, sound, world_sound
from veo_core.errors import UsageError
from veo_core.watermark.keys import DEVELOPMENT_KEY
from veo_core.watermark.payload import CODED_BITS, Payload, payload_of, signs_of
from veo_core.watermark.sound import SNR_DB, embed_sound, read_sound
from veo_core.watermark.sound_search import p_value
from veo_core.world.detect_sound import hear

KEY = b"a secret of the tests"
PAYLOAD = Payload(model_id=513, generation_id=4_000_000_007)
BITS = signs_of(PAYLOAD, DEVELOPMENT_KEY)


def made(kind, *, rate=48_000, seconds=4.0, channels=1, seed=3):
    if kind == "world":
        return world_sound(seed, 16_000, 2.125), 16_000
    return sound(kind, seed, rate, seconds, channels), rate


def snr(audio, marked):
    mark = np.square(marked.astype(np.float64) - audio).sum()
    return 10.0 * math.log10(np.square(audio, dtype=np.float64).sum() / mark)


def read(audio, rate, key=KEY, indices=(0,)):
    return read_sound(audio, rate, CODED_BITS, key, indices)


@pytest.mark.parametrize("kind", [*KINDS, "world"])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_mark_is_25_db_below_any_sound_and_carries_the_payload(kind, rate):
    audio, rate = made(kind, rate=rate, channels=2 if rate == 44_100 else 1)
    marked = embed_sound(audio, rate, BITS, KEY)
    assert marked.shape == audio.shape
    assert marked.dtype == np.float32
    assert snr(audio, marked) >= SNR_DB - 1e-3 >= 25.0
    reading = read(marked, rate)
    assert reading.p_value < 1e-6
    assert payload_of(reading.soft, DEVELOPMENT_KEY) == PAYLOAD


@pytest.mark.parametrize("attack", [*REQUIRED, "trimmed to half", "Opus 48 kb/s", "AAC 64 kb/s, speed 1.25"])
@pytest.mark.parametrize("kind", ["speech", "world"])
def test_mark_survives_what_is_done_to_sound(kind, attack):
    audio, rate = made(kind)
    changed = {**REQUIRED, **FURTHER}[attack](embed_sound(audio, rate, BITS, KEY), rate)
    reading = read(changed, rate)
    assert reading.p_value < 1e-6
    if kind == "speech":
        assert ((reading.soft > 0) == (BITS > 0)).mean() >= 0.95


@pytest.mark.parametrize(
    ("attack", "speed", "pitch"), [("speed 1.25", 1.25, 1.25), ("speed 1.03", 1.03, 1.03)]
)
def test_reading_says_how_fast_the_sound_is(attack, speed, pitch):
    audio, rate = made("pink noise")
    reading = read(REQUIRED[attack](embed_sound(audio, rate, BITS, KEY), rate), rate)
    assert reading.speed == pytest.approx(speed, rel=0.003)
    assert reading.pitch == pytest.approx(pitch, rel=0.003)


def test_reading_finds_the_key_index_among_others():
    audio, rate = made("speech")
    reading = read(embed_sound(audio, rate, BITS, KEY, index=11), rate, indices=range(16))
    assert reading.index == 11
    assert reading.p_value < 1e-6


def test_another_key_or_index_reads_nothing():
    audio, rate = made("speech")
    marked = embed_sound(audio, rate, BITS, KEY, index=1)
    assert read(marked, rate, key=b"another secret of tests", indices=(1,)).p_value > 1e-3
    assert read(marked, rate, indices=(2,)).p_value > 1e-3


def test_mark_in_a_part_of_a_long_sound_is_found_there():
    audio = np.concatenate(
        [made("pink noise", seconds=10.0, rate=16_000, seed=k)[0] for k in range(3)], axis=1
    )
    audio[:, 160_000:320_000] = embed_sound(audio[:, 160_000:320_000], 16_000, BITS, KEY)
    reading = read(audio, 16_000)
    assert reading.p_value < 1e-6
    assert 7.0 <= reading.start <= 20.0


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_silence_stays_silent(rate):
    silence = np.zeros((2, rate), np.float32)
    assert not embed_sound(silence, rate, BITS, KEY).any()
    assert read(silence, rate).p_value == 1.0


def test_nothing_is_written_ahead_of_an_attack_nor_long_after_the_sound():
    audio, rate = made("world")
    onsets = hear(audio, rate).onsets
    mark = embed_sound(audio, rate, BITS, KEY) - audio
    before = round((onsets[0] - 0.002) * rate)
    assert not mark[:, :before].any()
    quiet = np.concatenate([audio, np.zeros((1, 2 * rate), np.float32)], axis=1)
    tail = embed_sound(quiet, rate, BITS, KEY)[:, -rate:]
    assert not tail.any()


def test_a_silent_channel_stays_silent():
    speech, rate = made("speech")
    audio = np.concatenate([speech, np.zeros_like(speech)])
    marked = embed_sound(audio, rate, BITS, KEY)
    assert not marked[1].any()
    assert read(marked, rate).p_value < 1e-6


def test_world_contacts_are_heard_as_before():
    for seed in range(6):
        audio, rate = made("world", seed=seed)
        marked = embed_sound(audio, rate, BITS, KEY, index=seed)
        before, after = (hear(coded(one, rate, "aac", 96_000), rate) for one in (audio, marked))
        assert after.pitch == before.pitch
        assert len(after.onsets) == len(before.onsets)
        assert np.abs(np.subtract(after.onsets, before.onsets)).max() < 0.010


def test_equal_input_gives_equal_marks():
    audio, rate = made("rhythm")
    assert np.array_equal(embed_sound(audio, rate, BITS, KEY), embed_sound(audio, rate, BITS, KEY))


def test_average_of_the_marks_of_many_clips_neither_forges_nor_removes_a_mark():
    """Even one who has the originals gets no pattern: clips differ in key index, start and payload."""
    audio, rate = made("pink noise", rate=16_000, seconds=2.1)
    rng = np.random.default_rng(5)
    marks = [
        embed_sound(audio, rate, rng.choice([-1, 1], CODED_BITS), KEY, index=k % 16) - audio
        for k in range(32)
    ]
    average = np.mean(marks, axis=0)
    average *= np.linalg.norm(marks[0]) / np.linalg.norm(average)
    fresh, _ = made("pink noise", rate=16_000, seconds=2.1, seed=8)
    assert read(fresh + average, rate, indices=range(16)).p_value > 1e-6
    marked = embed_sound(fresh, rate, BITS, KEY, index=3)
    assert read(marked - average, rate, indices=range(16)).p_value < 1e-6


@pytest.mark.thorough
def test_unmarked_sounds_raise_no_alarm_and_p_values_are_no_smaller_than_they_say():
    p_values = []
    for number in range(60):
        kind = [*KINDS, "world"][number % 6]
        audio, rate = made(kind, rate=16_000, seconds=2.1, seed=100 + number)
        p_values.append(read(audio, rate, key=b"key of a test %d" % number).p_value)
    assert min(p_values) > 1e-4
    assert np.mean(np.asarray(p_values) <= 0.05) <= 0.15


def test_statistic_of_a_fixed_sound_under_many_keys_keeps_to_its_bound():
    """One place is tried, so the share of keys that exceed a value must not exceed its p-value."""
    from veo_core.watermark.sound_cells import CellSums, contrast
    from veo_core.watermark.sound_pattern import keyed_pattern
    from veo_core.watermark.sound_search import correlations
    from veo_core.watermark.sound_spectrum import analyse

    audio, _ = made("music", rate=16_000, seconds=4.0)
    cells = CellSums(contrast(analyse(audio))).folded(1.0, 1.0)[0]
    scores = np.array(
        [correlations(cells, keyed_pattern(b"%d" % number, 0, 64), 64)[0] for number in range(600)]
    )
    for value in (0.5, 1.0, 1.5, 2.0):
        share, bound = (scores >= value).mean(), p_value(value, 1)
        assert share <= bound + 3.0 * math.sqrt(bound / len(scores))
    assert scores.std() == pytest.approx(1.0, abs=0.12)


@given(st.floats(0.0, 30.0), st.integers(1, 10**7), st.floats(0.1, 5.0))
def test_p_value_falls_with_the_statistic_and_grows_with_the_tries(statistic, tries, more):
    assert 0.0 <= p_value(statistic + more, tries) <= p_value(statistic, tries) <= 1.0
    assert p_value(statistic, tries) <= p_value(statistic, 2 * tries)


@settings(max_examples=15, deadline=None)
@given(
    samples=st.integers(0, 3_000),
    channels=st.integers(1, 2),
    rate=st.sampled_from([4_000, 11_025, 22_050, 44_100]),
    level=st.sampled_from([1e-6, 0.01, 1.0]),
)
def test_any_short_sound_can_be_marked_and_read(samples, channels, rate, level):
    audio = np.random.default_rng(samples).standard_normal((channels, samples)).clip(-1, 1).astype(np.float32)
    audio *= np.float32(level)
    marked = embed_sound(audio, rate, BITS, KEY)
    assert marked.shape == audio.shape
    assert np.abs(marked).max(initial=0.0) <= 1.0
    energy = np.square(audio, dtype=np.float64).sum()
    assert np.square(marked.astype(np.float64) - audio).sum() <= energy * 10.0 ** (-2.5)
    assert 0.0 <= read(marked, rate).p_value <= 1.0


def test_sound_that_cannot_carry_a_mark_is_refused_in_one_line():
    with pytest.raises(UsageError, match="4000 or more"):
        embed_sound(np.zeros((1, 100), np.float32), 2_000, BITS, KEY)
    broken = np.full((1, 20_000), np.nan, np.float32)
    with pytest.raises(UsageError, match="not finite"):
        read(broken, 16_000)
