import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from commands.command_line import damaged, error_line
from lip2wav_hf import DEFAULT_CHECKPOINT
from lip2wav_hf.commands.info import describe_model
from lip2wav_hf.commands.messages import CommandError
from lip2wav_hf.commands.options import complete_model
from lip2wav_hf.errors import counted
from lip2wav_hf.grammar import Grammar
from lip2wav_hf.metrics.registry import SUMMARY
from lip2wav_hf.models import baseline_models


CARD = """---
license: apache-2.0
model-index:
- name: tiny
  results:
  - task:
      type: video-to-speech
    dataset:
      name: GRID
      type: grid
      split: s1 validation
    metrics:
    - type: stoi
      name: STOI
      value: 0.5
---
# A card
"""


def test_info(run, tmp_path, tiny_model_dir):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    status, out, _ = run("info", folder)
    assert status == 0
    for fact in ("16000 Hz", "25 frames/s", "51 words", "istft", "there is no model card"):
        assert fact in out
    (folder / "README.md").write_text(CARD)
    status, out, _ = run("info", folder, "--json")
    facts = json.loads(out)
    assert facts["results"] == [
        {"metric": "stoi", "name": "STOI", "value": 0.5, "dataset": "GRID", "split": "s1 validation"}
    ]
    assert len(facts["vocabulary"]) == 51
    weights = load_file(folder / "model.safetensors")
    assert facts["parameters"] == sum(array.size for array in weights.values() if array.dtype.kind == "f")


def test_what_a_model_answers_with(run, tmp_path, tiny_model_dir):
    model = shutil.copytree(tiny_model_dir, tmp_path / "mine")
    config = json.loads((model / "config.json").read_text())
    assert "answers with    any of these words" in run("info", model)[1]
    phrases = Grammar.from_phrases(["bin blue", "set"]).to_jsgf()
    written = {"bin blue": "Bin, blue!"}
    (model / "config.json").write_text(json.dumps(config | {"grammar": phrases, "written_sentences": written}))
    assert "answers with    2 phrases: set, Bin, blue!" in run("info", model)[1]
    assert json.loads(run("info", model, "--json")[1])["sentences"] == ["set", "Bin, blue!"]
    many = Grammar.from_slots({str(slot): [f"a{slot}x{word}" for word in range(20)] for slot in range(9)}).to_jsgf()
    (model / "config.json").write_text(json.dumps(config | {"grammar": many}))
    assert "answers with    sentences of its grammar" in run("info", model)[1]
    assert "answers with    sentences of its grammar" in run("info", "grid-s1")[1]


def test_a_model_is_called_as_its_run(run, tmp_path, tiny_model_dir):
    """Not best, which all are called; without a card, what writes one is said."""
    folder = tmp_path / "runs" / "mine" / "best"
    shutil.copytree(tiny_model_dir, folder)
    (folder / "README.md").unlink(missing_ok=True)
    _, out, _ = run("info", folder)
    assert f"mine ({folder})" in out and "lip2wav evaluate measures, lip2wav card writes one" in out


def test_info_of_a_damaged_model(run, tmp_path, tiny_model_dir):
    folder = damaged(Path(shutil.copytree(tiny_model_dir, tmp_path / "model")), "cut weights")
    assert "model.safetensors" in error_line(run("info", folder))


def test_the_main_results_fit_a_screen(run):
    """The vocabulary stays in sight, rates are percentages, and --all prints the rest."""
    status, out, _ = run("info")
    assert status == 0
    lines = out.splitlines()
    results = lines[next(i for i, line in enumerate(lines) if line.startswith("results")) :]
    assert len(results) <= 11 and len(lines) <= 24
    assert max(map(len, results)) <= 80
    published = [Path(DEFAULT_CHECKPOINT, "results", f"{split}.json") for split in ("validation", "unseen_validation")]
    rates = [json.loads(path.read_text("utf-8"))["overall"]["judge_wer"]["value"] for path in published]
    seen, unseen = (f"{SUMMARY['judge_wer'].show(rate)} %" for rate in rates)  # rounded once, as in the card's table
    assert any("Judge WER" in line and f" {seen} " in line and line.endswith(f" {unseen}") for line in results)
    assert "--all" in results[-1]
    assert "51 words" in out and f"{rates[0]:.4f}" not in out
    status, everything, _ = run("info", "--all")
    assert len(everything.splitlines()) > 40
    assert "MCD, compat" in everything and "MCD, compat" not in out


def test_the_model_is_named_as_in_other_commands(run, tiny_model_dir):
    assert run("info", "--model", tiny_model_dir) == run("info", tiny_model_dir)
    assert "Name one" in error_line(run("info", tiny_model_dir, "--model", "somebody/something"))


def test_info_imports_no_network_library():
    """The facts stand in files: torch and transformers would take two seconds."""
    code = """
import sys
from lip2wav_hf.commands.main import main
try:
    main(["info"])
except SystemExit as end:
    assert not end.code, end.code
found = [name for name in ("torch", "transformers", "av", "cv2", "scipy", "matplotlib") if name in sys.modules]
assert not found, found
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "8.36 million" in result.stdout


@pytest.mark.parametrize(
    "missing, shown",
    [("vocabulary", "51 words"), ("frame_rate", "25 frames/s"), ("decoder_type", "istft")],
)
def test_what_the_configuration_leaves_out_has_its_default(run, tmp_path, tiny_model_dir, missing, shown):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    del config[missing]
    (folder / "config.json").write_text(json.dumps(config))
    status, out, _ = run("info", folder)
    assert status == 0 and shown in out


@pytest.mark.parametrize("wrong", [{"sampling_rate": "fast"}, {"vocabulary": [1, 2]}, {"frame_rate": True}])
def test_a_configuration_that_cannot_be_is_refused(run, tmp_path, tiny_model_dir, wrong):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **wrong}))
    assert "config.json" in error_line(run("info", folder))


@pytest.mark.parametrize("model_type", [[], "bert", None])
def test_a_type_that_is_none_of_these_is_refused(tmp_path, tiny_model_dir, model_type):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": model_type}))
    with pytest.raises(CommandError, match=r"config\.json: the model_type .* is none of lip2wav, "):
        describe_model(folder)


def test_all_that_lists_models_by_name_lists_the_same(run):
    """The list, the error for a name that nobody has, what is said beside a model, and the shell's completion."""
    _, out, _ = run("info", "--list", "--json")
    listed = {each["name"]: each["system"] for each in json.loads(out)}
    error = error_line(run("info", "nosuch"))
    said = ", ".join(f"{name} ({system})" for name, system in listed.items())
    assert error.strip().endswith(f"a bundled model: {said}.")
    for name, system in listed.items():
        status, out, _ = run("info", name)
        others = counted(len(listed) - 1, "other")
        assert status == 0 and system in out and f"({others} with a name: --list says what they are)" in out
    speaking = [name for name, system in listed.items() if name != "grid-sync"]
    assert complete_model("") == speaking and "none: this network does not speak" in run("info", "grid-sync")[1]


def test_the_list_says_which_system_each_model_is(run, tmp_path, tiny_model_dir):
    status, out, _ = run("info", "--list")
    rows = [line.split("  ") for line in out.splitlines()[:-1]]
    found = {row[0]: row[1] for row in ([cell.strip() for cell in row if cell] for row in rows)}
    assert status == 0 and found["grid-s1"].startswith("Lip2Wav, this package's own system")
    assert found["grid-sync"] == "the network that measures lip sync" and list(found)[:2] == ["grid-s1", "grid-sync"]
    assert list(found)[2:] == sorted(folder.name for folder in baseline_models())  # in a copy of the repository
    status, out, _ = run("info")
    assert "Lip2Wav, this package's own system" in out
    for name in ("a/best", "frame/final", "frame/final/critic", "frame/checkpoint-3", "my/.adaptation/run/best"):
        shutil.copytree(tiny_model_dir, tmp_path / "runs" / name)
    (tmp_path / "runs" / "frame" / "checkpoint-3" / "optimizer.bin").touch()
    config = tmp_path / "runs" / "frame" / "final" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "decoder_type": "frame"}))
    (tmp_path / "runs" / "config.json.d").mkdir()
    status, out, err = run("info", "--list", tmp_path / "runs", "--json")
    assert status == 0, err
    ours, frame = json.loads(out)
    assert ours["name"] == str(tmp_path / "runs" / "a" / "best") and ours["speaks"]
    assert frame["system"] == "Vougioukas et al. 2019, a reconstruction" and frame["sampling_rate"] == 16000


@pytest.mark.parametrize(("place", "message"), [("nosuch", "no such folder"), (".", "there is no model in it")])
def test_a_list_of_nothing(run, tmp_path, monkeypatch, place, message):
    monkeypatch.chdir(tmp_path)
    assert message in error_line(run("info", "--list", place))
