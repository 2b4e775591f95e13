"""Publishing: what goes, what is refused, and the real client against a Hub in memory (or the staging Hub)."""

import json
import os
import re
import shutil
import signal
import sys
import uuid
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from test_remote_code import (
    change_weights,
    cut_off_file,
    left_over_key,
    missing_key,
    other_model_type,
    other_shape,
    pickled_weights,
    weights_of_another_name,
)

import lip2wav_hf
from conftest import REPOSITORY, TINY_CONFIG
from hub_stub import HubStub, card_errors
from lip2wav_hf.commands.main import main
from lip2wav_hf.configuration_lip2wav import Lip2WavConfig, Lip2WavCriticConfig, Lip2WavSpeechEncoderConfig
from lip2wav_hf.evaluation.systems import model_sha256
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.files import BASELINES
from lip2wav_hf.hub.model_card import write_model_card
from lip2wav_hf.hub.plan import plan_dataset, plan_model, plan_space
from lip2wav_hf.hub.push import HubError, push
from lip2wav_hf.hub.remote_code import code_files
from lip2wav_hf.lip2audspec.configuration_lip2audspec import Lip2AudSpecConfig
from lip2wav_hf.lip2audspec.modeling_lip2audspec import Lip2AudSpecModel
from lip2wav_hf.lite.graphs import CLIPS, DECODER_FILE, ENCODER_FILE, INT8_DECODER_FILE, STREAMS, graph_files
from lip2wav_hf.modeling_critic import Lip2WavCritic, Lip2WavSpeechEncoder
from lip2wav_hf.modeling_lip2wav import Lip2WavModel
from lip2wav_hf.training.language_model import estimate_ngram
from little_lip2audspec import TINY as TINY_LIP2AUDSPEC
from warm_processes import WarmProcesses


BUNDLED = Path(lip2wav_hf.DEFAULT_CHECKPOINT)
STAGING = "https://hub-ci.huggingface.co"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
FACTS = """
name: voice
summary: Random weights, for a test.
license: cc-by-4.0
license_name: CC BY 4.0
data: Nothing.
data_license: Nobody's.
training: None.
core_hours: 0.5
hardware: two cores
"""


@pytest.fixture(scope="session")
def measured_model(tiny_model_dir, tmp_path_factory) -> Path:
    """A tiny model with a critic, a speech encoder, and a card whose numbers are of these weights."""
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path_factory.mktemp("measured") / "best"))
    torch.manual_seed(0)
    Lip2WavCritic(Lip2WavCriticConfig(channels=[4, 4], strides=[4, 4])).save_pretrained(folder / "critic")
    encoder = Lip2WavSpeechEncoderConfig(hidden_size=8, num_layers=1)
    Lip2WavSpeechEncoder(encoder).save_pretrained(folder / "speech_encoder")
    results = json.loads((BUNDLED / "results" / "validation.json").read_text(encoding="utf-8"))
    results["model_sha256"] = model_sha256(Lip2WavModel.from_pretrained(folder))
    (folder / "results").mkdir()
    (folder / "results" / "validation.json").write_text(json.dumps(results), encoding="utf-8")
    (folder / "card.yaml").write_text(FACTS, encoding="utf-8")
    write_model_card(folder)
    return folder


@pytest.fixture
def folder(measured_model, tmp_path) -> Path:
    return Path(shutil.copytree(measured_model, tmp_path / "best"))


# What goes


def test_a_repository_has_all_it_needs(folder):
    (folder / "optimizer.bin").write_bytes(b"pickled")
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "model.safetensors").write_bytes(b"")
    (folder / ".adaptation" / "run").mkdir(parents=True)  # what an adaptation that was stopped goes on with
    for name in ("modeling_lip2wav.py", "lock", "model.safetensors"):
        (folder / ".adaptation" / "run" / name).write_bytes(b"")
    upload = plan_model(folder)
    networks = {
        f"{part}{name}" for part in ("", "critic/", "speech_encoder/") for name in ("config.json", "model.safetensors")
    }
    code = {path.name for path in code_files(["pipeline_video_to_speech", "modeling_critic"])}
    code |= {path.name for path in code_files(["modeling_lip2wav", "feature_extraction_lip2wav"])}
    faces = {f"face_models/{path.name}" for path in (BUNDLED.parents[1] / "face_models").iterdir()}
    others = {"README.md", "card.yaml", "LICENSE-CODE", "preprocessor_config.json", "results/validation.json"}
    samples = {"samples/synthetic_face.mp4", "samples/synthetic_face.json"}
    tokenizers = {f"{part}{name}" for part in ("", "speech_encoder/") for name in TOKENIZER}
    assert set(upload.files) == networks | code | faces | others | samples | tokenizers
    assert {
        "generator.py",
        "speaking.py",
        "grammar.py",
        "video.py",
        "face_tracking.py",
        "configuration_lip2wav.py",
    } <= code
    assert upload.left_out == [".adaptation/", "checkpoint-10/", "optimizer.bin"]
    assert sum(upload.sizes().values()) > 2_000_000
    assert len(repr(upload)) < 1000  # who prints it in Python sees no bytes of files


def test_characters_and_an_n_gram_go_too(folder):
    model = Lip2WavModel(Lip2WavConfig(**TINY_CONFIG, text_units="characters"))
    model.ngram = estimate_ngram([["bin", "blue"], ["lay", "blue"]], 2)
    for name in TOKENIZER:
        (folder / name).unlink()
    model.save_pretrained(folder)
    (folder / "vocab.json").unlink()  # it follows from the configuration
    path = folder / "results" / "validation.json"
    results = json.loads(path.read_text(encoding="utf-8")) | {"model_sha256": model_sha256(model)}
    path.write_text(json.dumps(results), encoding="utf-8")
    write_model_card(folder)
    files = plan_model(folder).files
    assert json.loads(files["vocab.json"])["|"] == 1 and "tokenizer.json" not in files
    assert files["ngram.arpa"].read_text().startswith("\\data\\\nngram 1=")
    assert "Words spelt from 26 characters" in files["README.md"].read_text(encoding="utf-8")
    (folder / "ngram.arpa").write_text("nothing")
    with pytest.raises(HubError, match="the weights do not load.*ngram.arpa"):
        plan_model(folder)


def test_the_configurations_name_their_code_and_no_place_of_this_machine(folder):
    files = plan_model(folder).files
    config = json.loads(files["config.json"])
    assert config["auto_map"] == {
        "AutoConfig": "configuration_lip2wav.Lip2WavConfig",
        "AutoModel": "modeling_lip2wav.Lip2WavModel",
    }
    task = {"impl": "pipeline_video_to_speech.VideoToSpeechPipeline", "pt": ["AutoModel"], "type": "video"}
    assert config["custom_pipelines"] == {"video-to-speech": task}
    assert json.loads(files["critic/config.json"])["auto_map"]["AutoModel"] == "modeling_critic.Lip2WavCritic"
    for path, content in files.items():
        if path.endswith((".json", ".md")):
            text = content.decode() if isinstance(content, bytes) else content.read_text(encoding="utf-8")
            assert str(folder) not in text and str(REPOSITORY) not in text, path


def test_code_that_travels_needs_the_runtime_only(folder):
    from transformers.dynamic_module_utils import get_imports

    allowed = {"numpy", "torch", "transformers", "av", "cv2", "huggingface_hub", "tqdm", "safetensors"}
    for path in plan_model(folder).files:
        if path.endswith(".py"):
            assert set(get_imports(BUNDLED.parents[1] / path)) <= allowed | set(sys.stdlib_module_names), path


@pytest.fixture(scope="session")
def measured_lip2audspec(tmp_path_factory) -> Path:
    """A tiny Lip2AudSpec with a card whose numbers are of these weights."""
    folder = tmp_path_factory.mktemp("lip2audspec") / "best"
    torch.manual_seed(0)
    model = Lip2AudSpecModel(Lip2AudSpecConfig(**TINY_LIP2AUDSPEC))
    model.save_pretrained(folder)
    Lip2WavFeatureExtractor().save_pretrained(folder)
    results = json.loads((BASELINES / "lip2audspec-grid-s1" / "results" / "validation.json").read_text("utf-8"))
    (folder / "results").mkdir()
    measured = json.dumps(results | {"model_sha256": model_sha256(model)})
    (folder / "results" / "validation.json").write_text(measured, encoding="utf-8")
    (folder / "card.yaml").write_text(FACTS, encoding="utf-8")
    write_model_card(folder)
    return folder


def test_a_lip2audspec_goes_whole_too(measured_lip2audspec, capsys):
    upload = plan_model(measured_lip2audspec)
    code = {"modeling_lip2audspec.py", "modeling_autoencoder.py", "configuration_lip2audspec.py", "auditory.py"}
    filters = {f"cochlea/{name}" for name in ("LICENSE", "NOTICE", "filters.safetensors")}
    assert code | filters | {"pipeline_video_to_speech.py", "face_models/LICENSE"} <= set(upload.files)
    assert "modeling_critic.py" not in upload.files and not set(TOKENIZER) & set(upload.files)
    assert "samples/synthetic_face.mp4" in upload.files and "samples/synthetic_face.json" not in upload.files
    for name in code:
        assert b"from .." not in upload.files[name]
    config = json.loads(upload.files["config.json"])
    assert config["auto_map"] == {
        "AutoConfig": "configuration_lip2audspec.Lip2AudSpecConfig",
        "AutoModel": "modeling_lip2audspec.Lip2AudSpecModel",
    }
    assert "video-to-speech" in config["custom_pipelines"]
    with pytest.raises(SystemExit) as exit_status:
        main(["push", str(measured_lip2audspec), "me/lip2audspec", "--dry-run"])
    assert exit_status.value.code == 0 and "cochlea/filters.safetensors" in capsys.readouterr().out


def test_a_card_says_what_system_it_is_of(measured_lip2audspec, folder):
    card = (measured_lip2audspec / "README.md").read_text(encoding="utf-8")
    assert card_errors(card, "model") == []
    assert "Akbari, Arora, Cao, Mesgarani (2018)" in card and "Vougioukas" not in card
    assert "**It reads no words.**" in card and "Corr2D" in card
    for claim in ("CTC", 'speech["text"]', "vocabulary", "Text-head"):
        assert claim not in card
    config = json.loads((folder / "config.json").read_text("utf-8")) | {"text_recognition": False}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_model_card(folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "**It reads no words.**" in card and "closed vocabulary" not in card and 'speech["text"]' not in card
    files = plan_model(folder).files
    assert "tokenizer.json" not in files and "samples/synthetic_face.json" not in files


@pytest.mark.parametrize("name", ["lip2audspec-grid-s1", "vougioukas2019-grid-s1"])
def test_a_model_to_compare_with_can_be_published(name, tmp_path):
    if not (BASELINES / name).is_dir():
        pytest.skip("not a copy of the repository")
    folder = Path(shutil.copytree(BASELINES / name, tmp_path / name))
    write_model_card(folder, overwrite=True)
    card = folder.joinpath("README.md").read_text(encoding="utf-8")
    assert f"# {name}" in card and "**It reads no words.**" in card and "Judge WER, %" in card
    upload = push(folder, f"me/{name}", dry_run=True)
    assert upload.warnings == [] and {"model.safetensors", "results/validation.json"} <= set(upload.files)


def test_samples_of_the_folder_go_instead_of_made_ones(folder):
    (folder / "samples").mkdir()
    (folder / "samples" / "mine.wav").write_bytes(b"RIFF")
    (folder / "samples" / "mine.pkl").write_bytes(b"")
    upload = plan_model(folder)
    assert [path for path in upload.files if path.startswith("samples/")] == ["samples/mine.wav"]
    assert "samples/mine.pkl" in upload.left_out


@pytest.fixture
def with_graphs(tmp_path) -> Path:
    """A measured model with ONNX graphs."""
    pytest.importorskip("onnxruntime", reason="the extra `lite` is not installed")
    return Path(shutil.copytree(BUNDLED, tmp_path / "voice"))


def test_graphs_that_stay_behind_are_told_of(with_graphs, capsys):
    upload = plan_model(with_graphs)
    assert {*CLIPS, INT8_DECODER_FILE, *STREAMS} <= set(upload.files) and upload.warnings == []
    damaged = with_graphs / DECODER_FILE
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (with_graphs / STREAMS[1]).unlink()
    with pytest.raises(SystemExit) as exit_status:
        main(["push", str(with_graphs), "me/voice", "--dry-run"])
    out, err = (" ".join(text.split()) for text in capsys.readouterr())
    assert exit_status.value.code == 0
    assert f"left out: {DECODER_FILE}, {ENCODER_FILE}, {INT8_DECODER_FILE}, {STREAMS[0]}" in out
    cause = f"{damaged}: it is damaged, or not of the model that lies beside it. Write it again: lip2wav lite"
    files = f"{ENCODER_FILE}, {DECODER_FILE}, {INT8_DECODER_FILE}"
    assert f"warning: {files}: left out. {cause} {with_graphs}" in err
    assert f"warning: {STREAMS[0]}: left out. model {with_graphs}: its {STREAMS[1]} is missing." in err


def test_graphs_that_cannot_be_checked_are_told_of(with_graphs, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found, problems = graph_files(with_graphs)
    assert found == [] and len(problems) == 2
    assert problems[0].startswith(
        f"{ENCODER_FILE}, {DECODER_FILE}, {INT8_DECODER_FILE}: left out. checking them needs"
    )


# What is refused


def not_finite(folder):
    change_weights(folder, lambda tensors: tensors["text_head.weight"].fill_(float("nan")))


def other_weights(folder):
    change_weights(folder, lambda tensors: tensors["text_head.bias"].add_(1))


def no_card(folder):
    (folder / "README.md").unlink()


def card_without_results(folder):
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# voice\n", encoding="utf-8")


def card_without_metadata(folder):
    (folder / "README.md").write_text("# voice\n", encoding="utf-8")


def better_number_in_the_card(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    better, count = re.subn(r"value: 0\.\d+", "value: 0.0233", text, count=1)
    assert count == 1 and better != text
    (folder / "README.md").write_text(better, encoding="utf-8")


def no_license(folder):
    card = ModelCard.load(folder / "README.md")
    card.data.license = None
    card.save(folder / "README.md")


def no_results_files(folder):
    shutil.rmtree(folder / "results")


def no_extractor(folder):
    (folder / "preprocessor_config.json").unlink()


def other_crops(folder):
    Lip2WavFeatureExtractor(crop_width=60).save_pretrained(folder)


def critic_of_another_kind(folder):
    other_model_type(folder / "critic")


def pickled_critic(folder):
    pickled_weights(folder / "critic")


REFUSALS = {
    cut_off_file: "the weights do not load.*damaged",
    missing_key: "the weights do not load.*1 missing, e.g. text_head.weight",
    left_over_key: "the weights do not load.*1 left over",
    other_shape: "the weights do not load.*of another shape",
    pickled_weights: r"its weights are pickled \(pytorch_model.bin\), and a pickle can run code",
    weights_of_another_name: "its weights are pickled",
    other_model_type: "a model of the type 'vits', not 'lip2wav'",
    not_finite: "text_head.weight are not all finite",
    no_extractor: "no preprocessor_config.json",
    other_crops: "crops are",
    critic_of_another_kind: "critic.*of the type 'vits'",
    pickled_critic: "critic: its weights are pickled",
    no_card: "no model card.*lip2wav evaluate.*lip2wav card",
    card_without_metadata: "no metadata",
    card_without_results: "no measured results",
    no_results_files: "was not measured with these weights",
    other_weights: "was not measured with these weights",
    better_number_in_the_card: "was not measured with these weights",
    no_license: "no `license:`",
}


@pytest.mark.parametrize("spoil", REFUSALS, ids=lambda function: function.__name__)
def test_what_cannot_be_relied_on_is_not_published(folder, spoil):
    spoil(folder)
    with pytest.raises(HubError, match=REFUSALS[spoil]):
        push(folder, "me/voice", dry_run=True)


@pytest.mark.parametrize("name", ["a/b/c", "me/../x", "", "me/voice.git"])
def test_a_bad_name_is_refused(folder, name):
    with pytest.raises(HubError, match="is not the name of a repository") as error:
        push(folder, name, dry_run=True)
    assert "repo_type" not in str(error.value)


def test_a_space_must_be_whole(tmp_path):
    with pytest.raises(HubError, match="there is no app.py"):
        plan_space(tmp_path)
    (tmp_path / "app.py").write_text("print(1)\n")
    (tmp_path / "requirements.txt").write_text("numpy\n")
    (tmp_path / "README.md").write_text("---\nsdk: docker\n---\n")
    with pytest.raises(HubError, match="sdk: gradio"):
        plan_space(tmp_path)
    (tmp_path / "README.md").write_text("---\nsdk: gradio\napp_file: app.py\n---\n")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "secret").write_text("")
    assert sorted(plan_space(tmp_path).files) == ["README.md", "app.py", "requirements.txt"]
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(HubError, match="no pickle"):
        plan_space(tmp_path)


def test_a_space_takes_the_package_along(tmp_path):
    (tmp_path / "app.py").write_text("print(1)\n")
    (tmp_path / "requirements.txt").write_text("# needs\nlip2wav_hf[demo,evaluate]\nnumpy\n")
    (tmp_path / "README.md").write_text("---\nsdk: gradio\napp_file: app.py\n---\n")
    files = plan_space(tmp_path).files
    lines = files["requirements.txt"].decode().splitlines()
    assert lines[:2] == ["# needs", "numpy"]
    names = {line.split(">")[0].split("<")[0] for line in lines[2:]}
    assert {"torch", "transformers", "pesq", "av"} <= names
    assert not {"lip2wav_hf", "gradio", "ruff", "pytest"} & names
    assert {"lip2wav_hf/__init__.py", "lip2wav_hf/checkpoints/grid-s1/model.safetensors"} <= set(files)
    assert not any("__pycache__" in path or path.endswith(".pyc") for path in files)


def test_the_demo_can_be_published():
    upload = plan_space(REPOSITORY / "demo", ["me/voice"])
    for card in ((REPOSITORY / "demo" / "README.md").read_text(encoding="utf-8"), upload.files["README.md"].decode()):
        assert card_errors(card, "space") == []
    assert "https://huggingface.co/me/voice" in upload.files["README.md"].decode()
    assert upload.variables == {"LIP2WAV_CHECKPOINTS": "me/voice"}
    faces = "lip2wav_hf/face_models/face_landmark.tflite"
    assert {"app.py", "answers.py", "lip2wav_hf/video.py", faces} <= set(upload.files)
    rooms = {path.split("/")[1] for path in upload.files if path.startswith("lip2wav_hf/")}
    assert not {"training", "train", "synthetic", "hub", "adaptation", "commands"} & rooms
    unused = ("evaluation/evaluate.py", "evaluation/web_report.py", "templates/report.html.jinja", "grid/corpus.py")
    assert not {f"lip2wav_hf/{name}" for name in unused} & set(upload.files)
    assert "lip2wav_hf/templates/gallery.html.jinja" in upload.files


def test_a_dry_run_of_the_demo_is_short_enough_to_be_read(capsys):
    """Its own files, and a line for each folder of the package; every file with --json."""
    with pytest.raises(SystemExit):
        main(["push", str(REPOSITORY / "demo"), "me/page", "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 30 and any(line.endswith("  app.py") for line in lines)
    assert any(line.split()[1:] == ["lip2wav_hf/live/", "13", "files", "of", "the", "package"] for line in lines)
    with pytest.raises(SystemExit):
        main(["push", str(REPOSITORY / "demo"), "me/page", "--dry-run", "--json"])
    files = json.loads(capsys.readouterr().out)["files"]
    assert "lip2wav_hf/live/streamer.py" in files
    assert lines[-2].endswith(f"bytes in {len(files)} files; --json lists each")


def test_a_data_set_is_its_card_alone(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# GRID\n")
    (tmp_path / "clip.mpg").write_bytes(b"a recording")
    assert list(plan_dataset(tmp_path).files) == ["README.md"]
    (tmp_path / "README.md").write_text("---\ntags:\n- grid\n---\n# GRID\n")
    with pytest.raises(HubError, match="no `license:`"):
        plan_dataset(tmp_path)


# The command


def test_a_dry_run_lists_what_would_go(folder, capsys):
    with pytest.raises(SystemExit) as exit_status:
        main(["push", str(folder), "me/voice", "--dry-run"])
    out = capsys.readouterr().out
    assert exit_status.value.code == 0
    assert out.startswith("me/voice, model, branch main:\n")
    size = (folder / "model.safetensors").stat().st_size
    assert f"{size:>12,}  model.safetensors\n" in out
    assert out.endswith("dry run: nothing was uploaded.\n")


def test_a_dry_run_warns_of_few_clips_as_a_push_does(folder, capsys):
    """Both print what the plan says of the measurements."""
    path = folder / "results" / "validation.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"limit": 6}), encoding="utf-8")
    write_model_card(folder, overwrite=True)
    with pytest.raises(SystemExit):
        main(["push", str(folder), "me/voice", "--dry-run"])
    assert "warning: the results of validation are of its first 6 clips only (--limit 6)" in capsys.readouterr().err


def test_a_dry_run_knows_that_a_name_without_owner_needs_a_login(folder, monkeypatch, capsys):
    """What would be refused later is refused now; a token is not asked about, since that would need the Hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(folder / "no token here"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    with pytest.raises(HubError, match="voice: whose.*me/voice.*hf auth login"):
        push(folder, "voice", dry_run=True)
    with pytest.raises(SystemExit) as exit_status:
        main(["push", str(folder), "voice", "--dry-run", "--token", "hf_aliceToken"])
    out, err = capsys.readouterr()
    assert exit_status.value.code == 0 and out.startswith("voice, model, branch main:\n")
    assert (
        err == "warning: voice: no owner is named, so it goes to the account that is logged in (`hf auth whoami`).\n"
    )


def test_the_command_says_what_is_wrong(folder, capsys):
    no_card(folder)
    with pytest.raises(SystemExit) as exit_status:
        main(["push", str(folder), "me/voice"])
    error = capsys.readouterr().err
    assert exit_status.value.code == 2
    assert error.startswith("error: ") and "there is no model card" in error and error.count("\n") == 1


def test_json_for_scripts(folder, capsys):
    with pytest.raises(SystemExit):
        main(["push", str(folder), "me/voice", "--dry-run", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["repo_type"] == "model" and facts["commit_url"] is None
    assert facts["files"]["model.safetensors"] == (folder / "model.safetensors").stat().st_size


# The real client, against a Hub

SESSION = """
import json, os, shutil, signal, sys
from pathlib import Path
from huggingface_hub import DatasetCard, HfApi, ModelCard, SpaceCard, hf_hub_download
from transformers import pipeline
from huggingface_hub.utils import close_session
import lip2wav_hf
from lip2wav_hf import Lip2WavCritic, Lip2WavModel
from lip2wav_hf.hub.card_texts import render_dataset_card, render_organization_card
from lip2wav_hf.hub.push import HubError, push, push_dataset_card, push_space

folder, work, prefix, demo = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
api = HfApi()
owner = api.whoami()["name"]
made, seen = [], {"owner": owner}

def made_repository(name, repo_type="model"):
    made.append((f"{owner}/{prefix}{name}", repo_type))
    return made[-1][0]

try:
    voice = made_repository("voice")
    upload = push(folder, voice, private=True)
    seen["files"] = sorted(set(api.list_repo_files(voice)) - {".gitattributes"})
    seen["planned"] = sorted(upload.files)
    seen["private"] = api.repo_info(voice).private
    commits = [commit.title for commit in api.list_repo_commits(voice)]
    seen["commits"] = commits
    downloaded = hf_hub_download(voice, "model.safetensors")
    seen["same_weights"] = Path(downloaded).read_bytes() == (folder / "model.safetensors").read_bytes()
    seen["metrics"] = len(ModelCard.load(voice).data.eval_results)
    seen["example"] = f'model="{voice}"' in ModelCard.load(voice).text

    api.create_tag(voice, tag="v1")
    shutil.copytree(folder, work / "best")
    shutil.rmtree(work / "best" / "critic")
    if not (child := os.fork()):  # killed when its files have gone, before the commit
        try:
            close_session()
            send_files = HfApi.preupload_lfs_files
            HfApi.preupload_lfs_files = lambda *a, **k: (send_files(*a, **k), os.kill(os.getpid(), signal.SIGKILL))
            push(work / "best", voice, message="Never to be seen")
        finally:
            os._exit(1)
    seen["killed"] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen["after_the_kill"] = [commit.title for commit in api.list_repo_commits(voice)]
    seen["deleted"] = push(work / "best", voice, message="Leave the critic out").deleted
    seen["critic_at_v1"] = type(Lip2WavCritic.from_pretrained(voice, subfolder="critic", revision="v1")).__name__
    try:
        Lip2WavCritic.from_pretrained(voice, subfolder="critic")
    except OSError as error:
        seen["critic_now"] = "missing"
    push(folder, voice, branch="trial", message="On a branch")
    seen["again"] = push(folder, voice, branch="trial", message="Once more").unchanged
    seen["branches"] = sorted(branch.name for branch in api.list_repo_refs(voice).branches)
    seen["on_trial"] = [commit.title for commit in api.list_repo_commits(voice, revision="trial")][0]

    public = made_repository("public")
    api.create_repo(public)
    try:
        push(folder, public, private=True)
    except HubError as error:
        seen["public"] = str(error)
    seen["public_files"] = sorted(set(api.list_repo_files(public)) - {".gitattributes"})

    mine = made_repository("mine")
    speak = pipeline("video-to-speech", model=voice)
    speak.push_to_hub(mine)
    again = pipeline("video-to-speech", model=mine)
    seen["pushed_pipeline"] = type(again.model).__name__
    seen["pushed_files"] = sorted(api.list_repo_files(mine))

    (work / "README.md").write_text(render_dataset_card(), encoding="utf-8")
    grid = made_repository("grid", "dataset")
    push_dataset_card(work, grid)
    seen["grid"] = DatasetCard.load(grid).data.license

    space = made_repository("demo", "space")
    seen["variables"] = push_space(demo, space, models=[voice]).variables
    seen["space"] = SpaceCard.load(space).data.sdk
    seen["shows"] = SpaceCard.load(space).data.models == [voice]
    seen["space_files"] = api.list_repo_files(space, repo_type="space")
    (work / "page.md").write_text(render_organization_card(models=[voice]), encoding="utf-8")
    page = made_repository("README", "space")
    push_space(work / "page.md", page)
    seen["page"] = SpaceCard.load(page).data.sdk
    for token in ("hf_wrongToken", None):
        try:
            push(folder, voice, token=token) if token else push(folder, "somebody-else-entirely/voice")
        except HubError as error:
            seen[f"token {token}"] = str(error)
finally:
    for name, repo_type in made:
        api.delete_repo(name, repo_type=repo_type, missing_ok=True)
seen["left"] = [name for name, repo_type in made if api.repo_exists(name, repo_type=repo_type)]
print(json.dumps(seen))
"""


@pytest.fixture(params=["stub", pytest.param("staging", marks=pytest.mark.staging)])
def hub_environment(request, tmp_path):
    """Environment variables of a Hub to publish on."""
    if request.param == "stub":
        with HubStub() as hub:
            yield hub.environment(tmp_path / "home")
        return
    token = os.environ.get("HF_STAGING_TOKEN")
    if not token:
        pytest.skip(f"no token of {STAGING} in HF_STAGING_TOKEN")
    yield {
        "HF_ENDPOINT": STAGING,
        "HF_TOKEN": token,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }


@pytest.mark.slow
def test_a_session_on_the_hub(hub_environment, measured_model, tmp_path):
    """Publish, publish again, tag, branch, load, and clean up, as a user does."""
    prefix = "" if "127.0.0.1" in hub_environment["HF_ENDPOINT"] else f"lip2wav-test-{uuid.uuid4().hex[:8]}-"
    (tmp_path / "work").mkdir()
    with WarmProcesses(("lip2wav_hf.hub.push", "lip2wav_hf.hub.card_texts"), hub_environment) as processes:
        arguments = [measured_model, tmp_path / "work", prefix, REPOSITORY / "demo"]
        result = processes.run(tmp_path / "log", SESSION, arguments)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout.splitlines()[-1])
    owner = seen["owner"]
    assert seen["files"] == seen["planned"] and "critic/model.safetensors" in seen["files"]
    assert seen["private"] is True
    assert seen["commits"] == [f"Upload voice with lip2wav_hf {lip2wav_hf.__version__}", "initial commit"]
    assert (seen["killed"], seen["after_the_kill"]) == (-signal.SIGKILL, seen["commits"])
    assert seen["same_weights"] and seen["metrics"] >= 8 and seen["example"]
    assert {"critic/config.json", "critic/model.safetensors"} <= set(seen["deleted"])
    assert "modeling_critic.py" not in seen["deleted"]  # the speech encoder's code, too
    assert (seen["critic_at_v1"], seen["critic_now"]) == ("Lip2WavCritic", "missing")
    assert seen["again"] is True
    assert seen["branches"] == ["main", "trial"] and seen["on_trial"] == "On a branch"
    assert "is public, but a private one was asked for" in seen["public"] and seen["public_files"] == []
    assert seen["pushed_pipeline"] == "Lip2WavModel"
    assert {"pipeline_video_to_speech.py", "face_models/face_landmark.tflite"} <= set(seen["pushed_files"])
    assert (seen["grid"], seen["space"], seen["page"]) == ("cc-by-4.0", "gradio", "static")
    assert seen["variables"] == {"LIP2WAV_CHECKPOINTS": f"{owner}/{prefix}voice"} and seen["shows"]
    assert {"app.py", "lip2wav_hf/pipeline_video_to_speech.py"} <= set(seen["space_files"])
    assert f"{owner}/{prefix}voice: the Hub does not know you" in seen["token hf_wrongToken"]
    assert "your token may not write there" in seen["token None"]
    assert seen["left"] == []
