import json
import shutil
from pathlib import Path

from safetensors.numpy import load_file

from commands.command_line import damaged, error_line


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
    assert any("Judge WER" in line and "8.7 %" in line for line in results)
    assert "--all" in results[-1]
    assert "51 words" in out and "0.0867" not in out
    status, everything, _ = run("info", "--all")
    assert len(everything.splitlines()) > 40
    assert "MCD, compat" in everything and "MCD, compat" not in out


def test_the_model_is_named_as_in_other_commands(run, tiny_model_dir):
    assert run("info", "--model", tiny_model_dir) == run("info", tiny_model_dir)
    assert "Name one" in error_line(run("info", tiny_model_dir, "--model", "somebody/something"))
