"""A corpus of one's own, in another script than English, through every command."""

import csv
import json
import shutil

import numpy as np
import pytest
from transformers import AutoTokenizer

from conftest import TINY_CONFIG
from greek_corpus import FAULTS, SENTENCES, WORDS, write_greek_corpus
from lip2wav_hf import Lip2WavConfig, Lip2WavFeatureExtractor, VideoReader, load_clips, read_audio
from lip2wav_hf.corpora.registry import open_corpus
from lip2wav_hf.evaluation import evaluate as evaluation
from lip2wav_hf.evaluation.options import ClipSelection, EvaluationOptions
from lip2wav_hf.training.cache import read_cached_clip
from lip2wav_hf.training.clips import prepare_clips
from little_grid import run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, talking_video):
    """Twelve good clips of three speakers, and five with a fault."""
    return write_greek_corpus(tmp_path_factory.mktemp("greek"), talking_video)


def test_prepare_finds_and_counts_defects_and_makes_splits(corpus, tmp_path, capfd):
    cache, before = tmp_path / "cache", sorted(corpus.rglob("*"))
    assert run("prepare", corpus, "--cache", cache, "--workers", 1) == 0
    output = capfd.readouterr().out
    assert "17 clips: 12 usable, 5 left out." in output
    assert "1 no_face (left out): no face is found in the video: dora/faceless" in output
    assert "split by clip: train 11 clips, validation 2, test 2, seed 0; written to " in output
    report = json.loads((cache / "defects.json").read_text())
    assert report["counts"] == FAULTS | {"no_face": 1}
    assert {defect["clip"] for defect in report["defects"]} == {
        "gone.mp4", "dora/untold", "dora/damaged", "dora/brief@1.00", "dora/faceless"
    }  # fmt: skip
    splits = json.loads((cache / f"splits-{corpus.name}.json").read_text())
    assert set(splits) == {"train", "validation", "test"}
    assert sorted(corpus.rglob("*")) == before  # nothing is written into the user's folder
    assert run("prepare", corpus, "--cache", cache, "--workers", 1, "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["cached"], facts["prepared"], facts["usable"]) == (12, 0, 12)
    assert run("prepare", corpus, "--cache", cache, "--scheme", "seen4") == 2
    assert "is one of GRID, which this folder does not hold" in capfd.readouterr().err


def test_a_part_is_prepared_as_it_is_in_the_whole(corpus, tmp_path, talking_video):
    clips = {clip.key: clip for own in load_clips(corpus).values() for clip in own}
    part = clips["άννα/clips-3@0.60"]
    assert (part.start, part.end, part.text, part.words) == (0.6, 2.2, SENTENCES[3], ("καληνύχτα", "σου"))
    pictures, whole = list(VideoReader(part.source)), list(VideoReader(talking_video))
    assert len(pictures) == 40 and all(np.array_equal(a, b) for a, b in zip(pictures, whole[15:55], strict=True))
    files = prepare_clips([part], Lip2WavFeatureExtractor(), tmp_path, num_workers=1, progress=False).files
    cached = read_cached_clip(files[part.key])
    assert len(cached.regions) == 40 and len(cached.waveform) == 40 * 640 and (cached.frame_words == -2).all()
    sound = read_audio(talking_video)[9600:][: 40 * 640]
    assert np.corrcoef(cached.waveform, sound)[0, 1] > 0.99


@pytest.mark.parametrize("check", ["none", "fast", "full"])
def test_times_after_the_end_of_the_video_are_named(tmp_path, talking_video, capfd, check):
    """Of three seconds: cues of which hardly anything or nothing is left, one that is cut, one that is not; words."""
    cues = {"ann": ("2.500", "4.500"), "bob": ("5.200", "6.500"), "cid": ("0.500", "4.000"), "dot": ("0.200", "3.100")}
    folder = tmp_path / "videos"
    for name, (start, end) in cues.items():
        (folder / name).mkdir(parents=True)
        shutil.copy(talking_video, folder / name / "x.mp4")
        (folder / name / "x.vtt").write_text(f"WEBVTT\n\n00:0{start} --> 00:0{end}\nbin blue\n")
    (folder / "eve").mkdir()
    shutil.copy(talking_video, folder / "eve" / "x.mp4")
    (folder / "eve" / "x.txt").write_text("Text: BIN BLUE\n\nWORD START END\nBIN 0.5 1.0\nBLUE 1.0 9.0\n")
    assert run("prepare", folder, "-c", tmp_path / "cache", "--workers", 1, "--check", check) == 0
    assert "3 late_times (left out): by its transcript or table, it goes on after the end" in capfd.readouterr().out
    found = json.loads((tmp_path / "cache" / "defects.json").read_text())["defects"]
    details = {defect["clip"].partition("/")[0]: (defect["kind"], defect["detail"]) for defect in found}
    expected = {"ann": "but the video ends at ", "bob": "times are from 5.2 to 6.5 s, but the video is over before."}
    expected["eve"] = "its last word ends at 9.00 s."
    if check != "none":
        assert details.pop("cid")[0] == "cut_times"
    assert details.keys() == expected.keys()
    for name, (kind, detail) in details.items():
        assert kind == "late_times" and expected[name] in detail


def test_a_recording_that_was_replaced_is_prepared_again(tmp_path, talking_video):
    folder = write_greek_corpus(tmp_path / "greek", talking_video, faults=False)
    before = {clip.key: clip.version for own in load_clips(folder).values() for clip in own}
    with (folder / "clips/ben/1.mp4").open("ab") as file:
        file.write(b"\0")
    after = {clip.key: clip.version for own in load_clips(folder).values() for clip in own}
    assert {key for key in before if before[key] != after[key]} == {"ben/clips-1"}


@pytest.mark.parametrize("format", ["videofolder", "webdataset"])
def test_export_is_a_dataset_that_load_clips_reads(corpus, tmp_path, capfd, format):
    datasets = pytest.importorskip("datasets")
    output = tmp_path / "out"
    assert run("export", corpus, output, "--workers", 1, "--format", format) == 0
    printed = capfd.readouterr().out
    assert "17 clips: 13 usable, 4 left out." in printed and f"splits: {output / 'splits.json'}" in printed
    card = (output / "README.md").read_text()
    assert "GRID" not in card and "split by clip" in card and "13 clips of 4 speakers" in card
    for leftover in ("{{", "{%", "None", "Undefined"):
        assert leftover not in card
    tables = datasets.load_dataset(str(output), cache_dir=str(tmp_path / "hf"))
    assert sum(map(len, tables.values())) == 13
    again = {clip.key: clip for own in load_clips(output).values() for clip in own}
    first = {clip.key: clip for own in load_clips(corpus).values() for clip in own}
    assert again.keys() == first.keys() - {"dora/untold", "dora/damaged", "dora/brief@1.00"}
    assert {key: clip.text for key, clip in again.items()} == {key: first[key].text for key in again}
    cut = again["ben/clips-3@0.60"]
    assert not cut.is_part and sum(1 for _ in VideoReader(cut.source)) == 40
    assert run("prepare", output, "--cache", tmp_path / "cache", "--workers", 1) == 0
    assert "13 clips: 12 usable, 1 left out" in capfd.readouterr().out  # in one there is no face


def with_more(corpus, folder):
    """A copy of the corpus, with two takes that nobody listed, and what a Mac leaves beside one."""
    folder = shutil.copytree(corpus, folder)
    for name in ("take-1.mp4", "take-2.mp4"):
        shutil.copy(folder / "brief.mp4", folder / name)
    (folder / "._take-1.mp4").write_bytes(b"of a Mac")
    return folder


UNLISTED = "2 unlisted_video (left out): there is a video, but the metadata do not name it: take-1.mp4, take-2.mp4"
GONE = "1 missing_video (left out): listed, but there is no video file: gone.mp4"


def test_prepare_and_export_name_what_nobody_listed(corpus, tmp_path, capfd):
    corpus = with_more(corpus, tmp_path / "greek")
    for command in (("prepare", corpus, "--cache", tmp_path / "cache"), ("export", corpus, tmp_path / "out")):
        assert run(*command, "--workers", 1) == 0
        output = capfd.readouterr().out
        assert "19 clips: " in output and UNLISTED in output and GONE in output
    assert run("prepare", corpus, "--cache", tmp_path / "cache", "--split", "test", "--workers", 1) == 0
    output = capfd.readouterr().out
    assert UNLISTED in output and GONE not in output  # which would have been in another split, perhaps


def test_train_collects_the_words_and_evaluate_measures_them(corpus, tmp_path, capfd):
    corpus = with_more(corpus, tmp_path / "greek")
    config = tmp_path / "tiny.json"
    config.write_text(json.dumps(TINY_CONFIG | {"model_type": "lip2wav", "num_mel_bins": 20}))
    good = json.dumps({"train": {"άννα": [f"clips-{n}" for n in range(3)] + ["clips-3@0.60"], "cleo": ["clips-2"]},
                       "validation": {"ben": ["clips-0", "clips-3@0.60"]}})  # fmt: skip
    splits = tmp_path / "splits.json"
    splits.write_text(good)
    shared = ["--data_dir", corpus, "--cache_dir", tmp_path / "cache", "--mixed_precision", "no", "--with_tracking",
              "false", "--dataloader_workers", 0, "--preprocessing_workers", 1, "--batch_size", 2, "--max_steps", 3,
              "--splits_file", splits]  # fmt: skip
    output = tmp_path / "run"
    assert run("train", "--config", config, *shared, "--output_dir", output, "--decoder_window_frames", 32) == 0
    said = capfd.readouterr().err
    assert "vocabulary: 8 words of the training clips." in said
    assert said.count(UNLISTED) == said.count(GONE) == 1
    model = output / "final"
    assert list(Lip2WavConfig.from_pretrained(model).vocabulary) == WORDS
    last = json.loads((output / "validation.jsonl").read_text().splitlines()[-1])
    assert last["validation/words"] == 0 and last["validation/ctc"] > 0  # no word has a time

    measured = tmp_path / "measured"
    options = ["--model", model, "--data", corpus, "--splits-file", splits, "--workers", 1, "-o", measured]
    assert run("evaluate", *options, "--metrics", "stoi", "--no-report") == 0
    said = "".join(capfd.readouterr())
    assert said.count(UNLISTED) == said.count(GONE) == 1
    results = json.loads((measured / "results.json").read_text())
    assert results["clips"] == 2 and "text_wer" in results["overall"]
    assert "judge" not in results and "chance_wer" not in results and not results["grid_sentences"]
    assert run("evaluate", *options, "--metrics", "grid_wer", "--overwrite") == 2
    assert "the judge recognises GRID's grammar only" in capfd.readouterr().err

    assert run("train", "--pretrained", "grid-s1", *shared, "--output_dir", tmp_path / "other") == 2
    error = capfd.readouterr().err
    assert "does not know 8 words of the training clips: γεια, είναι" in error and "Train without" in error
    config.write_text(json.dumps(json.loads(config.read_text()) | {"vocabulary": WORDS[:-1]}))
    assert run("train", "--config", config, *shared, "--output_dir", tmp_path / "other") == 2
    assert "its vocabulary lacks 1 word of the training clips: ώρα" in capfd.readouterr().err


def test_characters_go_through_every_command(corpus, tmp_path, talking_video, capfd):
    """Prepared, trained, measured, spoken and ready to be published, with words that no list holds."""
    config = tmp_path / "tiny.json"
    config.write_text(json.dumps(TINY_CONFIG | {"model_type": "lip2wav", "num_mel_bins": 20}))
    names = [f"clips-{n}" for n in range(3)] + ["clips-3@0.60"]
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"train": {"άννα": names, "cleo": names}, "validation": {"ben": names[:2]}}))
    cache, output, measured = tmp_path / "cache", tmp_path / "run", tmp_path / "measured"
    assert run("prepare", corpus, "--cache", cache, "--workers", 1) == 0
    assert run("train", "--config", config, "--data_dir", corpus, "--cache_dir", cache, "--splits_file", splits,
               "--output_dir", output, "--max_steps", 3, "--batch_size", 2, "--decoder_window_frames", 32,
               "--text_units", "characters", "--text_case", "keep", "--ngram_order", 2, "--mixed_precision", "no",
               "--with_tracking", "false", "--dataloader_workers", 0, "--preprocessing_workers", 1) == 0  # fmt: skip
    printed = capfd.readouterr().err
    assert "vocabulary: 22 characters of the training clips." in printed and "n-gram: " in printed
    model = output / "best"
    last = json.loads((output / "validation.jsonl").read_text().splitlines()[-1])
    assert last["validation/ctc"] > 0 and {"validation/text_wer", "validation/text_cer"} <= set(last)
    saved = Lip2WavConfig.from_pretrained(model)
    assert saved.vocabulary[0] == "|" and set("ΓεώρΜ") <= set(saved.vocabulary)
    assert saved.written("Τι ώρα είναι") == "Τι ώρα είναι;"
    tokenizer = AutoTokenizer.from_pretrained(model)
    assert tokenizer.decode(tokenizer("Γεια σου").input_ids) == "Γεια σου"

    options = ["--model", model, "--data", corpus, "--splits-file", splits, "--workers", 1, "-o", measured]
    assert run("evaluate", *options, "--beam", 4, "--metrics", "stoi", "--no-report") == 0
    results = json.loads((measured / "results.json").read_text())
    assert results["beam"] == 4 and "--beam 4" in results["command"] and "text_wer" in results["overall"]
    with (measured / "clips.csv").open(encoding="utf-8") as file:
        assert {row["sentence"] for row in csv.DictReader(file)} == {"Γεια σου Μαρία", "Καλημέρα"}

    capfd.readouterr()
    spoken = tmp_path / "a.wav"
    assert run("speak", talking_video, "--model", model, "--beam", 4, "-o", spoken, "--json", "--device", "cpu") == 0
    found = json.loads(capfd.readouterr().out)
    assert found["text"].split() == [word["word"] for word in found["words"]] and spoken.is_file()
    (tmp_path / "phrases.txt").write_text("Τι ώρα είναι;\nΜαρία!\n", encoding="utf-8")
    assert run("speak", talking_video, "--model", model, "--grammar", tmp_path / "phrases.txt", "-o", spoken, "-y",
               "--json", "--device", "cpu") == 0  # fmt: skip
    assert json.loads(capfd.readouterr().out)["written"] in ("Τι ώρα είναι;", "Μαρία!")
    assert run("info", model) == 0
    assert "22 characters: |, " in capfd.readouterr().out

    facts = ("license: cc-by-4.0", "license_name: CC BY 4.0", "data_license: Nobody's.")
    assert run("card", model, "--results", f"validation={measured / 'results.json'}") in (0, 2)
    with (model / "card.yaml").open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(facts) + "\n")
    assert run("card", model, "--results", f"validation={measured / 'results.json'}") == 0
    capfd.readouterr()
    assert run("push", model, "me/voice", "--dry-run") == 0
    listed = capfd.readouterr().out
    assert all(name in listed for name in ("vocab.json", "tokenizer_config.json", "ngram.arpa"))


def test_splits_that_were_made_are_written_to_the_output(tmp_path, talking_video, capfd):
    folder = write_greek_corpus(tmp_path / "greek", talking_video, faults=False)
    shutil.rmtree(folder / "clips" / "cleo")
    options = ["--data", folder, "--split", "train", "--limit", 1, "--metrics", "stoi", "--no-report"]
    assert run("evaluate", *options, "--workers", 1, "-o", tmp_path / "out") == 0
    assert "split by clip: train 6 clips, validation 1, test 1" in capfd.readouterr().err
    assert set(json.loads((tmp_path / "out" / "splits.json").read_text())) == {"train", "validation", "test"}
    options[options.index("train")] = "all"
    assert run("evaluate", *options, "--workers", 1, "-o", tmp_path / "every") == 0
    said = capfd.readouterr().err
    assert "split by" not in said and "'train'" not in said and not (tmp_path / "every" / "splits.json").exists()


def test_every_clip_can_be_measured(tmp_path, talking_video, capfd):
    corpus = open_corpus(write_greek_corpus(tmp_path / "greek", talking_video, faults=False))
    found = {}
    for split in ("validation", "all"):
        selection = ClipSelection(corpus.path, split)
        clips, _ = evaluation._clips(corpus, selection, EvaluationOptions(tmp_path / "out", ("stoi",)))
        found[split] = {clip.key for clip in clips}
    assert found["validation"] < found["all"] == {(clip.speaker, clip.name) for clip in corpus.clips}
    assert capfd.readouterr().err.count("The split 'all' is every clip") == 1


def test_real_faces(grid_dir, tmp_path, capfd):
    folder = grid_dir.parent / "crema-d"
    if not folder.is_dir():
        pytest.skip(f"no real data: there is no folder {folder}")
    options = ["--speakers", "1003,1005", "--workers", 1]
    assert run("prepare", folder, "--cache", tmp_path / "cache", *options) == 0
    output = capfd.readouterr().out
    assert (
        "3 clips: 3 usable, 0 left out." in output
        and "split by speaker: train 50 speakers, validation 6, test 6" in output
    )
    assert run("export", folder, tmp_path / "out", *options) == 0
    clips = [clip for own in load_clips(tmp_path / "out").values() for clip in own]
    assert sorted(clip.text for clip in clips) == [
        "it's eleven o'clock", "it's eleven o'clock", "that is exactly what happened"
    ]  # fmt: skip
