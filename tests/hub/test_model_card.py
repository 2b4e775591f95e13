"""`lip2wav card` on a bare model: one command, and only what a person must say is asked for."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from test_card_results import results
from typer.testing import CliRunner

from lip2wav_hf.commands.main import app
from lip2wav_hf.evaluation.systems import model_sha256
from lip2wav_hf.hub.model_card import make_model_card, render_model_card
from lip2wav_hf.hub.plan import HubError, plan_model
from lip2wav_hf.modeling_lip2wav import Lip2WavModel


TRAINED = {
    "data": "20 clips of me.",
    "trained_on": ["mine/train"],
    "training": "40 steps.",
    "gpu_hours": 2.0,
    "hardware": "1 x NVIDIA H100 80GB HBM3",
}
SAID = {"summary": "My voice.", "license": "cc-by-4.0", "data_license": "My own."}


@pytest.fixture
def best(tiny_model_dir, tmp_path) -> Path:
    """`my_voice/best` of a training, and the results of an evaluation."""
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "my_voice" / "best"))
    (folder.parent / "card.yaml").write_text(yaml.safe_dump(TRAINED), encoding="utf-8")
    weights = model_sha256(Lip2WavModel.from_pretrained(folder))
    measured = results(data="mine", model="my_voice", model_sha256=weights, versions={})
    (tmp_path / "results.json").write_text(json.dumps(measured), encoding="utf-8")
    return folder


def card(*arguments):
    return CliRunner().invoke(app, ["card", *map(str, arguments)])


def test_from_a_bare_model_to_a_publishable_one(best, tmp_path):
    with pytest.raises(HubError, match=r"no model card.*lip2wav evaluate.*lip2wav card.*push again") as refused:
        plan_model(best)
    assert str(refused.value).count(str(best)) >= 3  # commands that can be copied

    first = card(best, "--results", f"validation={tmp_path / 'results.json'}")
    assert first.exit_code == 2
    assert first.stderr.strip() == (
        f"error: {best / 'card.yaml'}: please fill in summary, license, data_license. Then run: lip2wav card {best}"
    )
    assert (best / "results" / "validation.json").is_file() and not (best / "README.md").exists()

    facts = yaml.safe_load((best / "card.yaml").read_text(encoding="utf-8"))
    (best / "card.yaml").write_text(yaml.safe_dump(facts | SAID), encoding="utf-8")
    second = card(best)
    assert second.exit_code == 0, second.stderr
    text = ModelCard.load(best / "README.md")
    assert text.data.model_name == "my_voice" and "# my_voice" in text.text
    assert 'model="OWNER/my_voice"' in text.text
    assert "No clip of `validation` was trained on." in text.text
    assert "2 GPU-hours, on 1 x NVIDIA H100 80GB HBM3" in text.text and "1.4 kWh" in text.text
    assert text.data.co2_eq_emissions["emissions"] == pytest.approx(1.4 * 480)
    assert "grid" not in text.data.tags
    assert plan_model(best).warnings == []
    assert card(best, "--check").exit_code == 0


def test_a_card_without_the_power_of_its_hardware(best):
    (best / "card.yaml").write_text(yaml.safe_dump(TRAINED | SAID | {"hardware": "a GPU of tomorrow"}))
    text = ModelCard(render_model_card(best))
    assert "2 GPU-hours, on a GPU of tomorrow" in text.text and "is not estimated" in text.text
    assert "co2_eq_emissions" not in text.data.to_dict()


@pytest.mark.parametrize(("given", "shown"), [("cc-by-4.0", "cc-by-4.0."), ("Mine. ", "Mine."), ("Free!", "Free!")])
def test_what_a_sentence_follows_ends_with_a_full_stop(best, given, shown):
    (best / "card.yaml").write_text(yaml.safe_dump(TRAINED | SAID | {"data_license": given}), encoding="utf-8")
    make_model_card(best, {"validation": best.parents[1] / "results.json"})
    text = (best / "README.md").read_text(encoding="utf-8")
    assert f"| training data | {shown} They are not part of this repository. |" in text


def test_results_of_other_weights_do_not_start_a_card(best):
    with pytest.raises(ValueError, match="are of other weights"):
        make_model_card(best, {"validation": results(model_sha256="0" * 64)})
    assert not (best / "results").exists() and not (best / "card.yaml").exists()


def test_a_folder_without_a_model_gets_no_card(tmp_path):
    assert "no config.json" in card(tmp_path).stderr


def test_a_push_of_the_first_clips_only_is_warned_of(best):
    (best / "card.yaml").write_text(yaml.safe_dump(TRAINED | SAID), encoding="utf-8")
    make_model_card(best, {"validation": results(data="mine", limit=3)})
    (warning,) = plan_model(best).warnings
    assert "first 3 clips only" in warning


def test_everything_is_loaded_once(best, monkeypatch):
    """A push makes one generator and one extractor of the files: they are large, and it is a wait."""
    from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor

    (best / "card.yaml").write_text(yaml.safe_dump(TRAINED | SAID), encoding="utf-8")
    make_model_card(best, {"validation": best.parents[1] / "results.json"})
    loaded = []
    for each in (Lip2WavModel, Lip2WavFeatureExtractor):
        original = each.from_pretrained.__func__

        def counted(cls, *arguments, original=original, **options):
            loaded.append(cls.__name__)
            return original(cls, *arguments, **options)

        monkeypatch.setattr(each, "from_pretrained", classmethod(counted))
    plan_model(best)
    assert sorted(loaded) == ["Lip2WavFeatureExtractor", "Lip2WavModel"]
