import cv2
import numpy as np
import pytest

from veo_core.media.pdq import pdq, pdq_hex


def picture(height, width):
    """Slanted waves and a disc, in whole numbers, so that every machine draws the same."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.abs((500 * x // width + 300 * y // height) % 256 - 128)
    waves += np.abs((900 * y // height - 200 * x // width) % 254 - 127)
    disc = ((3 * x - width) ** 2 + 2 * (2 * y - height) ** 2 < width * height) * 60
    return np.clip(waves // 2 + disc + 40 * x // width, 0, 255).astype(np.uint8)


def natural(seed, height=288, width=512):
    """Smooth blobs of many sizes."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(n, n)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        / n**0.5
        for n in (4, 8, 16, 32, 64, 128)
    ]
    return cv2.normalize(sum(layers), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def bits(one, other):
    return (one ^ other).bit_count()


# What pdqhash 0.2.8, Python bindings of Meta's own code, gives for the same pictures.
REFERENCE = {
    (128, 228): "038efecf138efeac1f8e000c1d8e128cdcceacabf805aaaf6065aaad137a7552",
    (360, 640): "038ee3cd178ee3cc1f8e030c1d8e138cdcceacabf805aa8f6067aaaf137a5d52",
    (90, 31): "56ae242eabd24bf6f569954952b66204a55eadab58a19aafa855220d55aadd72",
}


@pytest.mark.parametrize(("size", "expected"), REFERENCE.items())
def test_hash_is_that_of_the_reference_implementation(size, expected):
    value, quality = pdq(picture(*size))
    assert (pdq_hex(value), quality) == (expected, 100)


@pytest.mark.parametrize("seed", range(5))
def test_compressed_and_resized_pictures_stay_within_the_distance(seed):
    original = natural(seed)
    value = pdq(original)[0]
    _, jpeg = cv2.imencode(".jpg", original, [cv2.IMWRITE_JPEG_QUALITY, 30])
    copies = [
        cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE),
        cv2.resize(original, (228, 128), interpolation=cv2.INTER_AREA),
        cv2.resize(original, (400, 300), interpolation=cv2.INTER_AREA),
        cv2.convertScaleAbs(original, alpha=0.8, beta=10),
    ]
    assert max(bits(value, pdq(copy)[0]) for copy in copies) <= 20


def test_unrelated_pictures_differ_in_about_half_the_bits():
    values = [pdq(natural(seed))[0] for seed in range(12)]
    distances = [bits(a, b) for i, a in enumerate(values) for b in values[:i]]
    assert min(distances) > 80
    assert np.mean(distances) == pytest.approx(128, abs=8)


@pytest.mark.parametrize("flat", [np.full((128, 128), 90, np.uint8), np.zeros((3, 200), np.uint8)])
def test_picture_without_structure_has_no_quality(flat):
    assert pdq(flat)[1] == 0
