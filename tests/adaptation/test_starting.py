"""A network with room for new words."""

import copy

import numpy as np
import pytest
import torch

from lip2wav_hf.adaptation.starting import freeze_speech, grow, imprint, keep_unsaid, load_starting_model


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


def test_shown_words_are_known_before_the_first_step(starting_model):
    start = load_starting_model(starting_model)
    grown = grow(start, ["bonjour", "merci", "salut"], None).eval()
    before, known = copy.deepcopy(grown.state_dict()), grown.config.num_classes - 3
    places = [grown.config.units.classes[word] for word in ("bonjour", "merci")]
    shown = []
    for place in places:
        classes = np.zeros(20, int)
        classes[5:15] = place
        shown.append((torch.randn(20, 40, 64), classes))
    assert imprint(grown, ["bonjour", "merci", "salut"], shown) == ["bonjour", "merci"]
    logits = [grown(pixels[None, :, None]).text_logits[0].detach() for pixels, _ in shown]
    highest = torch.cat([each[5:15, 1:known].amax(1) for each in logits]).median()
    for place, each in zip(places, logits, strict=True):
        assert each[5:15, place].mean() == pytest.approx(float(highest), abs=1e-3)
    low = torch.cat(logits)
    assert low[:, places].mean(0) == pytest.approx(float(low[:, 1:known].mean()), abs=1e-3)
    unchanged = [place for place in range(grown.config.num_classes) if place not in places]
    for name, value in grown.state_dict().items():
        rows = unchanged if name.startswith("text_head") else slice(None)
        assert torch.equal(value[rows] if value.ndim else value, before[name][rows] if value.ndim else before[name])
    assert imprint(grown, ["salut"], []) == []


def test_a_word_that_is_all_that_is_seen_keeps_its_random_weights(starting_model):
    """As the only word of recordings without sound: nothing tells it from anything else."""
    grown = grow(load_starting_model(starting_model), ["bonjour"], None)
    before = grown.text_head.weight.clone()
    place = grown.config.units.classes["bonjour"]
    assert imprint(grown, ["bonjour"], [(torch.randn(20, 40, 64), np.full(20, place))]) == []
    assert imprint(grown, ["bonjour"], [(torch.zeros(20, 40, 64), np.full(20, place))]) == []
    assert torch.equal(grown.text_head.weight, before) and grown.training


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


def test_words_that_nobody_says_are_not_unlearnt(starting_model):
    """Two steps of AdamW on "bin": without care, every row of the text head would move as far as that of "bin"."""
    start, model = load_starting_model(starting_model), load_starting_model(starting_model)
    keep_unsaid(model, ["bin"])
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.0)
    for _ in range(2):
        logits = model(torch.randn(1, 12, 1, 40, 64)).text_logits[0]
        torch.nn.functional.cross_entropy(logits, torch.ones(12, dtype=torch.long)).backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, rows in (("text_head.weight", 0), ("text_head.bias", 0), ("word_projection.weight", 1)):
        before, after = (network.state_dict()[name].movedim(rows, 0) for network in (start, model))
        assert torch.equal(before[2:], after[2:]), name
    assert not torch.equal(start.text_head.weight[:2], model.text_head.weight[:2])
