"""The cards: their metadata, their text, what they are made from, and that they travel in the wheel."""

import ast
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard, SpaceCard

import lip2wav_hf
from conftest import REPOSITORY
from hub_stub import card_errors
from lip2wav_hf.commands.main import main
from lip2wav_hf.grid.defects import KINDS as DEFECTS
from lip2wav_hf.hub.card_results import CardError, update_card
from lip2wav_hf.hub.card_texts import (
    TEMPLATES,
    render_dataset_card,
    render_organization_card,
    render_space_card,
)
from lip2wav_hf.hub.energy import GRAMS_PER_KWH, WATTS_PER_CORE
from lip2wav_hf.hub.facts import FACTS_FILE, read_facts
from lip2wav_hf.hub.model_card import render_model_card, write_model_card


BUNDLED = Path(lip2wav_hf.DEFAULT_CHECKPOINT)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of the bundled checkpoint."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "grid-s1"))


def flat(text: str) -> str:
    return " ".join(text.split())


CARDS = {
    "model": (lambda: render_model_card(BUNDLED), ModelCard),
    "dataset": (render_dataset_card, DatasetCard),
    "space": (lambda: render_space_card(["me/voice"], gradio_version="6.31.0"), SpaceCard),
    "organization": (lambda: render_organization_card(models=["me/voice"], spaces=["me/demo"]), SpaceCard),
}


@pytest.mark.parametrize("kind", CARDS)
def test_the_metadata_are_valid(kind):
    render, card_class = CARDS[kind]
    text = render()
    card = card_class(text)
    repo_type = card_class.repo_type
    assert card_errors(text, repo_type) == []
    assert card.data.license in ("cc-by-4.0", "apache-2.0")
    # What is read and written again is the same: nothing of it is unknown or of a wrong form.
    again = yaml.safe_load(card.data.to_yaml())
    assert again == yaml.safe_load(text.split("---\n")[1])


@pytest.mark.parametrize("kind", CARDS)
def test_the_text_is_whole(kind):
    text = CARDS[kind][0]()
    body = text.split("---\n", 2)[2]
    assert len(re.findall(r"^# ", body.replace("# makes", ""), re.MULTILINE)) == 1
    for leftover in ("{{", "}}", "{%", "None", "Undefined", "TODO", "\n\n\n"):
        assert leftover not in body
    for code in re.findall(r"```python\n(.*?)```", body, re.DOTALL):
        ast.parse(code)
    for line in body.splitlines():
        if line.startswith("|"):
            assert line.rstrip().endswith("|"), line


def test_the_model_card_tells_what_it_must():
    text = flat(render_model_card(BUNDLED))
    for heading in ("Intended use", "Out of scope", "Limits", "Results", "How the numbers were made", "Architecture"):
        assert f"## {heading} " in text
    for word in ("Covert surveillance", "Impersonation", "consented", "51 words", "16000 Hz", "core-hours"):
        assert word in text
    assert "| code (the Python files) | Apache-2.0" in text
    assert "| weights of this model | CC BY 4.0: " in text
    assert "| training data | " in text and "3625687" in text


def test_the_cost_is_what_was_measured_times_what_is_assumed(folder):
    facts = yaml.safe_load((folder / FACTS_FILE).read_text(encoding="utf-8"))
    facts |= {"core_hours": 50.0}
    (folder / FACTS_FILE).write_text(yaml.safe_dump(facts), encoding="utf-8")
    card = ModelCard(render_model_card(folder))
    cost = card.data.to_dict()["co2_eq_emissions"]
    assert cost["emissions"] == pytest.approx(50 * WATTS_PER_CORE / 1000 * GRAMS_PER_KWH, abs=0.1)  # 240 g
    assert "50 core-hours" in card.text and "0.5 kWh" in card.text and "240 g CO2e" in card.text


def test_the_architecture_comes_from_the_files(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"vocabulary": ["yes", "no"], "grammar": None, "speaker_embedding_size": 24}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    text = render_model_card(folder)
    assert "A closed vocabulary of 2 words." in text and "yes, no" in text
    assert "by a speaker embedding of 24 numbers" in text
    assert "8.36 million parameters" in text or re.search(r"\d+\.\d\d million parameters", text)


def test_numbers_and_text_make_one_card(folder):
    path = write_model_card(folder, overwrite=True)
    card = ModelCard.load(path)
    measured = json.loads((folder / "results" / "validation.json").read_text(encoding="utf-8"))["overall"]
    told = {one.metric_type: one.metric_value for one in card.data.eval_results if one.dataset_split == "validation"}
    assert told["judge_wer"] == pytest.approx(measured["judge_wer"]["value"], abs=5e-5)
    assert card.data.license == "cc-by-4.0" and "co2_eq_emissions" in card.data.to_dict()
    assert update_card(folder, check=True) == path.read_text(encoding="utf-8")
    assert write_model_card(folder) == path  # its own card is replaced without being asked
    before = path.read_text(encoding="utf-8")
    (folder / "results" / "validation.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CardError):
        write_model_card(folder)
    assert path.read_text(encoding="utf-8") == before


def test_the_text_may_come_before_the_numbers(folder, tmp_path, capsys):
    """write-card, then card with the results of an evaluation: the same card as with the results in their place."""
    whole = write_model_card(folder, overwrite=True).read_text(encoding="utf-8")
    shutil.move(folder / "results", tmp_path / "evaluation")
    with pytest.raises(SystemExit) as exit_status:
        main(["write-card", str(folder)])
    assert exit_status.value.code == 0
    assert f"no numbers yet: lip2wav card {folder} --results" in capsys.readouterr().out
    text = ModelCard.load(folder / "README.md")
    assert not text.data.eval_results and "## Results" in text.text
    update_card(folder, {path.stem: path for path in (tmp_path / "evaluation").glob("*.json")})
    assert (folder / "README.md").read_text(encoding="utf-8") == whole


def test_the_bundled_card_is_made_from_its_template(folder):
    """After a change of the template or of card.yaml: `lip2wav write-card src/lip2wav_hf/checkpoints/grid-s1`."""
    assert write_model_card(folder, overwrite=True).read_text(encoding="utf-8") == (BUNDLED / "README.md").read_text(
        encoding="utf-8"
    )


def test_a_card_written_by_hand_is_kept(folder):
    (folder / "README.md").write_text("# My own words\n", encoding="utf-8")
    with pytest.raises(CardError, match="written by hand.*`overwrite=True`"):
        write_model_card(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == "# My own words\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"core_hours": None}, "please fill in core_hours"),
        ({"summary": "", "training": None}, "please fill in summary, training"),
        ({"core_hours": "many"}, "`core_hours` must be float, not 'many'"),
        ({"core_hours": 0}, "must be above 0"),
        ({"limits": "none"}, "`limits` must be"),
        ({"sumary": "x"}, "unknown: .'sumary'."),
    ],
)
def test_facts_are_checked(folder, change, message):
    path = folder / FACTS_FILE
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(CardError, match=message):
        read_facts(path)


def test_from_nothing_to_a_card(folder, capsys):
    """`--init` makes a file that says what to fill in; empty, it is refused."""
    (folder / FACTS_FILE).unlink()
    for arguments, status, text in (
        ([], 2, "lip2wav card {folder}"),
        (["--init"], 0, f"wrote {folder / FACTS_FILE}"),
        (["--init"], 2, "it is there already"),
        ([], 2, "please fill in summary, license, data, data_license, training, hardware, core_hours or gpu_hours"),
    ):
        with pytest.raises(SystemExit) as exit_status:
            main(["write-card", str(folder), "--overwrite", *arguments])
        printed = capsys.readouterr()
        assert exit_status.value.code == status
        assert text.format(folder=folder) in printed.out + printed.err
    assert min(yaml.safe_load((folder / FACTS_FILE).read_text(encoding="utf-8"))) == "core_hours"


def test_the_data_set_card_tells_the_defects(tmp_path):
    text = render_dataset_card()
    for word in ("CC BY 4.0", "Cooke", "3625687", "bbaf2n", "1/25000 s", "s21", "holds no recording"):
        assert word in text
    assert all(f"`{kind}`" in text for kind in DEFECTS)
    report = {
        "checked": 1000,
        "check": "full",
        "defects": [{"kind": "corrupt_video"}, {"kind": "corrupt_video"}, {"kind": "no_alignment"}],
        "missing_speakers": ["s21"],
    }
    (tmp_path / "defects.json").write_text(json.dumps(report), encoding="utf-8")
    told = flat(render_dataset_card(tmp_path / "defects.json"))
    assert "a copy with 1000 clips (check: full): 2 `corrupt_video`, 1 `no_alignment`; no video of s21." in told
    (tmp_path / "defects.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CardError, match="not a report of defects"):
        render_dataset_card(tmp_path / "defects.json")


def test_a_card_of_nothing_says_what_to_name(capsys):
    with pytest.raises(SystemExit):
        main(["write-card"])
    error = capsys.readouterr().err
    assert error.startswith("error: name the folder of a saved model, such as runs/") and "--type dataset" in error


@pytest.mark.parametrize("kind", ["dataset", "space", "organization"])
def test_other_cards_go_to_a_file_or_the_terminal(kind, tmp_path, capsys):
    for target in ([], ["-o", str(tmp_path / "new" / "README.md")]):
        with pytest.raises(SystemExit) as exit_status:
            main(["write-card", "--type", kind, "--model", "me/voice", "--gradio-version", "6.31.0", *target])
        assert exit_status.value.code == 0
    printed = capsys.readouterr().out
    assert (
        printed == (tmp_path / "new" / "README.md").read_text(encoding="utf-8") + f"wrote {tmp_path}/new/README.md\n"
    )


def test_the_templates_lie_where_the_repository_shows_them():
    assert TEMPLATES.resolve() == REPOSITORY / "hub_cards"
    names = {path.name for path in TEMPLATES.iterdir()}
    assert names == {f"{kind}_card.md.jinja" for kind in ("model", "dataset", "corpus", "space", "organization")}


def test_the_templates_travel_in_the_wheel(tmp_path):
    """Built from a copy, the wheel holds the templates, and the package in it finds them."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info", "checkpoints", "face_models")
    shutil.copytree(REPOSITORY / "src", source / "src", symlinks=True, ignore=leave)
    shutil.copytree(REPOSITORY / "hub_cards", source / "hub_cards")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        source,
    ]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = tmp_path.glob("lip2wav_hf-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    assert {f"lip2wav_hf/hub_cards/{path.name}" for path in TEMPLATES.iterdir()} <= inside
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "installed")!r})
from lip2wav_hf.hub.card_texts import TEMPLATES, render_dataset_card
assert str(TEMPLATES).startswith({str(tmp_path / "installed")!r}), TEMPLATES
print(render_dataset_card())
"""
    result = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout == render_dataset_card() + "\n"
