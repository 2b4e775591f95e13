"""A network with room for new words."""

import torch

from lip2wav_hf.adaptation.starting import freeze_speech, grow, load_starting_model


def test_new_words_leave_what_was_known_as_it_was(starting_model):
    start = load_starting_model(starting_model).eval()
    grown = grow(start, ["bonjour", "bin", "merci"], None).eval()
    assert list(grown.config.vocabulary) == [*start.config.vocabulary, "bonjour", "merci"]
    pixels = torch.randn(1, 12, 1, 40, 64)
    before, after = start(pixels), grown(pixels)
    known = len(start.config.vocabulary) + 1
    torch.testing.assert_close(after.text_logits[..., :known], before.text_logits)
    assert after.text_logits.shape[-1] == known + 2
    torch.testing.assert_close(grown.word_projection.weight[:, :known], start.word_projection.weight)


def test_new_words_are_the_same_for_a_seed(starting_model):
    start = load_starting_model(starting_model)
    first, again, other = (grow(start, ["bonjour"], None, seed).text_head.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_grown_network_is_saved_and_loaded(starting_model, tmp_path):
    grown = grow(load_starting_model(starting_model), ["bonjour"], "#JSGF V1.0;\npublic <a> = bonjour;\n")
    grown.save_pretrained(tmp_path)
    loaded = load_starting_model(tmp_path)
    assert loaded.config.grammar == grown.config.grammar
    assert all(torch.equal(loaded.state_dict()[name], value) for name, value in grown.state_dict().items())


def test_frozen_speech_leaves_lips_and_words_to_learn(starting_model):
    model = load_starting_model(starting_model)
    freeze_speech(model)
    learning = {name.partition(".")[0] for name, value in model.named_parameters() if value.requires_grad}
    assert learning == {"visual_encoder", "temporal_encoder", "text_head"}
