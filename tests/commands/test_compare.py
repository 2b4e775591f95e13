"""`lip2wav compare`."""

import csv
import json
import shutil

import pytest

from commands.command_line import error_line
from lip2wav_hf.audio import read_audio, write_audio
from lip2wav_hf.hub.facts import known_facts
from lip2wav_hf.models import find_model
from little_grid import write_corpus
from little_lip2audspec import TINY as LIP2AUDSPEC


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, talking_video):
    return write_corpus(tmp_path_factory.mktemp("grid"), talking_video)


@pytest.fixture
def samples(tmp_path, talking_video):
    """What a system made of three clips, with an echo, and the recordings, as their authors publish it."""
    sound = read_audio(talking_video)
    for folder, share in (("predicted", 0.4), ("original", 0.0)):
        (tmp_path / "peers" / folder).mkdir(parents=True)
        for number in range(3):
            echo = share * sound[: -800 * (number + 1)]
            heard = sound.copy()
            heard[800 * (number + 1) :] += echo
            write_audio(tmp_path / "peers" / folder / f"Sample_{number}.wav", heard / 2, 16000)
    return tmp_path / "peers"


@pytest.fixture(scope="module")
def stated(tmp_path_factory, tiny_model_dir):
    """A model whose card says what its training took."""
    folder = tmp_path_factory.mktemp("models") / "stated"
    shutil.copytree(tiny_model_dir, folder)
    facts = "core_hours: 1.5\nhardware: two cores\ntraining_type: fine-tuning\ndata: what `lip2wav <align>` left.\n"
    (folder / "card.yaml").write_text(facts)
    return folder


def test_systems_and_samples_in_one_table(run, corpus, samples, stated, tmp_path):
    pytest.importorskip("jiwer", reason="the extra `evaluate` is not installed")
    output = tmp_path / "out"
    arguments = ["compare", "--data", corpus, "--split", "unseen_validation", "-m", "grid-s1"]
    arguments += ["-m", f"<noise>={stated}", "--published", f"Others={samples}"]
    arguments += ["--metrics", "stoi,grid_wer", "-o", output, "--workers", 1]
    status, out, err = run(*arguments)
    assert status == 0, err
    assert (
        "grid-s1 against <noise>, 2 clips: " in out
        and "So few clips show little" in out
        and "compute of <noise>: 1.5 core-hours on two cores" in out
    )
    assert f"compute of grid-s1: {known_facts(find_model('grid-s1'))['core_hours']:g} core-hours on " in out
    record = json.loads((output / "comparison.json").read_text())
    columns = {column["label"]: column for column in record["columns"]}
    assert list(columns) == ["Original", "grid-s1", "<noise>", "Others"]
    assert [column["clips"] for column in columns.values()] == [2, 2, 2, 3]
    assert columns["Original"]["overall"].keys() == {"judge_wer"}
    assert columns["Others"]["compute"] == "not stated" and "judge_wer" not in columns["Others"]["overall"]
    _check_differences(columns, output)
    measured = json.loads((output / "evaluation" / "results.json").read_text())
    assert [other["name"] for other in measured["baselines"]] == ["<noise>"]
    assert "&lt;noise&gt;" in (output / "evaluation" / "report.html").read_text()  # by its label too, not its folder
    page = (output / "comparison.html").read_text()
    assert "&lt;noise&gt;" in page and "<noise>" not in page and "http" not in page
    assert '<table class="texts">' in page
    assert "what <code>lip2wav &lt;align&gt;</code> left." in page and "`" not in page
    assert "2 systems on grid" in record["title"] and "first" not in record["title"]
    markdown = (output / "comparison.md").read_text()
    assert "| 95 % interval | Original | grid-s1 | <noise> | Others * |" in markdown
    assert "## Published results on GRID" in markdown and "As published, other split" in markdown
    assert record["published"][0]["WER, %"] == "26.6"
    status, out, _ = run(*arguments, "--json")
    assert status == 0 and json.loads(out)["columns"] == record["columns"], "nothing is measured again"


def test_all_clips_say_how_many_are_for_training(run, corpus, stated, tmp_path, tiny_model_dir):
    pytest.importorskip("jiwer", reason="the extra `evaluate` is not installed")
    arguments = ["--data", corpus, "--split", "all", "-m", tiny_model_dir, "-m", stated, "--metrics", "stoi"]
    status, _, err = run("compare", *arguments, "-o", tmp_path, "--workers", 1)
    remark = "3 of the 5 clips are of the split 'train': a model that has learnt from them does better there"
    assert status == 0 and remark in err
    assert remark in (tmp_path / "comparison.md").read_text(encoding="utf-8")


def _check_differences(columns, output):
    """Against the tables of clips: the first system minus the other, clip by clip."""

    def stoi(path):
        with open(path / "clips.csv", newline="", encoding="utf-8") as file:
            return {row["name"]: float(row["stoi"]) for row in csv.DictReader(file)}

    first = stoi(output / "evaluation")
    (other,) = (stoi(path) for path in (output / "evaluation" / "baselines").iterdir())
    expected = sum(first[name] - other[name] for name in first) / len(first)
    difference = columns["<noise>"]["against_first"]["differences"]["stoi"]
    assert difference["value"] == pytest.approx(expected, abs=1e-6)
    assert difference["low"] <= difference["value"] <= difference["high"]


def test_systems_of_every_kind(run, corpus, samples, tmp_path, tiny_model_dir):
    """Lip2AudSpec and a frame decoder beside ours, with learning curves, rates and words that nobody wrote down."""
    pytest.importorskip("jiwer", reason="the extra `evaluate` is not installed")
    from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
    from lip2wav_hf.lip2audspec.configuration_lip2audspec import Lip2AudSpecConfig
    from lip2wav_hf.lip2audspec.modeling_lip2audspec import Lip2AudSpecModel

    best = tmp_path / "run" / "best"
    config = Lip2AudSpecConfig(**LIP2AUDSPEC)
    Lip2AudSpecModel(config).save_pretrained(best)
    Lip2WavFeatureExtractor().save_pretrained(best)
    facts = {"data": "5 clips.", "training": "30 steps.", "core_hours": 0.5, "hardware": "a core"}
    (best / "training.json").write_text(
        json.dumps({"step": 30, "number": 0, "processes": 1, "options": {}, "facts": facts})
    )
    lines = [{"step": 10 * step, "validation/loss": 1 / step, "validation/correlation": 0.5} for step in range(1, 5)]
    (best.parent / "validation.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (samples / "predicted").rename(samples / "predicts_others")  # as others name their folders
    (samples / "original").rename(samples / "originals_others")
    output = tmp_path / "out"
    arguments = ["compare", "--data", corpus, "--split", "unseen_validation", "-m", tiny_model_dir]
    arguments += ["-m", f"audspec={best}", "--published", f"Others={samples}", "--metrics", "stoi,grid_wer"]
    status, out, err = run(*arguments, "-o", output, "--workers", 1)
    assert status == 0, err
    assert "learning of audspec: 4 validations up to step 40" in out and "under-trained" in out
    assert "sound made at, kHz" in (output / "comparison.md").read_text()
    record = json.loads((output / "comparison.json").read_text())
    columns = {column["label"]: column for column in record["columns"]}
    assert columns["audspec"]["sampling_rate"] == 8000 and columns["Others"]["sampling_rate"] == 16000
    assert columns["audspec"]["training"]["compute"] == "0.5 core-hours on a core"
    assert len(columns["audspec"]["training"]["curve"]["points"]) == 4
    for label in ("tiny", "audspec", "Others"):
        assert columns[label]["overall"]["wer_to_original"]["clips"] == columns[label]["clips"]
    assert any("audspec: made at less" in note for note in record["notes"])
    assert any("Nobody states the words of these samples" in note for note in record["notes"])
    markdown = (output / "comparison.md").read_text()
    assert "## Learning curves" in markdown and "| 40 | – | 0.250 | 0.500 |" in markdown
    assert "Lip2AudSpec (Akbari et al. 2018)" in markdown
    page = (output / "comparison.html").read_text()
    assert "data:image/svg+xml;base64," in page and "http" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "a=grid-s1", "-m", "b=grid-s1"], "'a' and 'b' are both grid-s1. Name it once."),
        (["-m", "grid-s1", "-m", "grid-sync"], "it is a model of the type 'lip2wav_syncnet'"),
        (["-m", "grid-s1"], "there is nothing to compare with"),
        (
            ["--published", "a=empty"],
            "--published a=empty: there is no folder in it whose name begins with 'predict'",
        ),
        (["--published", "a=nosuch"], "--published a=nosuch: no such folder"),
        (["--published", "a=silent"], "predicted: holds no sound file"),
        (["--published", "a=other"], "original: no original for 1 of 1 generated files: two"),
        (["--published", "nosuch"], "give LABEL=FOLDER"),
        (["--published", "a=x", "--published", "a=y"], "samples of 'a' already"),
        (["-m", "a=grid-s1", "-m", "a=x"], "two systems are called 'a'"),
        (["-m", "grid-s1", "-m", "nosuch"], "model nosuch: there is no such folder"),
    ],
)
def test_what_cannot_be_done(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for file in ("empty/a", "silent/predicted/a", "silent/original/one.wav", "other/predicted/two.wav"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    shutil.copytree(tmp_path / "silent" / "original", tmp_path / "other" / "original")
    assert message in error_line(run("compare", "--data", "data", *arguments))
