import pytest
import torch

from veo_core.errors import UsageError
from veo_core.models.text import NULL, PAD, UNKNOWN, TextEncoder, Vocabulary, split_words

VOCABULARY = Vocabulary.from_captions(["a red circle moving left", "A blue cross, moving up"])


def test_vocabulary_holds_each_word_once_in_order():
    assert VOCABULARY.words == (",", "a", "blue", "circle", "cross", "left", "moving", "red", "up")
    assert VOCABULARY.size == 9 + 3


def test_tokens_are_padded_to_the_length_and_words_keep_their_ids():
    tokens = VOCABULARY.tokens(["a red circle", "red a"], 6)
    assert tokens.shape == (2, 6)
    assert tokens[0, 3:].tolist() == [PAD] * 3
    assert tokens[0, 0] == tokens[1, 1]
    assert tokens[0, 1] == tokens[1, 0]


def test_tokens_when_a_word_is_new_then_it_is_unknown():
    assert VOCABULARY.tokens(["a purple circle"], 4)[0, 1] == UNKNOWN


def test_tokens_when_the_caption_is_empty_then_it_is_null():
    assert VOCABULARY.tokens([""], 3)[0].tolist() == [NULL, PAD, PAD]


def test_tokens_when_the_caption_is_too_long_then_the_limit_is_named_or_it_is_cut():
    with pytest.raises(UsageError, match="the prompt has 50 tokens, the limit is 5; shorten it: 'a a a"):
        VOCABULARY.tokens(["a " * 50], 5)
    assert (VOCABULARY.tokens(["a " * 50], 5, cut=True) != PAD).all()


def test_split_words_ignores_case_and_keeps_marks():
    assert split_words("A Red circle, moving.") == ["a", "red", "circle", ",", "moving", "."]


def test_encoder_when_padding_grows_then_the_words_features_stay():
    torch.manual_seed(0)
    encoder = TextEncoder(TextEncoder.Config(vocabulary=VOCABULARY, length=8, depth=2), 32).eval()
    features, mask = encoder(VOCABULARY.tokens(["a red circle"], 8))
    assert features.shape == (1, 8, 32)
    assert mask[0, 0, 0].tolist() == [True] * 3 + [False] * 5
    with torch.no_grad():
        encoder.words.weight[PAD] += 5.0
    changed, _ = encoder(VOCABULARY.tokens(["a red circle"], 8))
    torch.testing.assert_close(changed[:, :3], features[:, :3])
