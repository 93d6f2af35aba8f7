"""Text embeddings without a model: hashed character and word n-grams."""

import hashlib
import itertools
import re

import numpy as np
import numpy.typing as npt

DIMENSIONS = 256

_WORD = re.compile(r"\w+")


def embed(text: str) -> npt.NDArray[np.float32]:
    """The embedding of a text, float32 [256] of unit length; equal texts have equal embeddings.

    Words, pairs of words and the 3 to 5 letter pieces of each word are counted in hashed bins with hashed
    signs (Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 0902.2206). Counts enter
    by their square root. Case and punctuation do not matter; a text without words is one feature itself.
    """
    words = _WORD.findall(text.lower())
    features = [*words, *map(" ".join, itertools.pairwise(words))] or [text]
    for word in words:
        marked = f"<{word}>"
        features += [marked[i : i + n] for n in (3, 4, 5) for i in range(len(marked) - n + 1)]
    counts = np.zeros(DIMENSIONS)
    for feature in features:
        digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=2).digest()
        counts[digest[0]] += 1.0 if digest[1] & 1 else -1.0
    if not counts.any():  # features that cancel each other
        counts[0] = 1.0
    rooted = np.sign(counts) * np.sqrt(np.abs(counts))
    return np.asarray(rooted / np.linalg.norm(rooted), dtype=np.float32)
