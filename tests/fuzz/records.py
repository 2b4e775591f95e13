"""Files that lie in folders of models, trainings and evaluations, each among others that are whole."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lip2wav_hf
from lip2wav_hf.adaptation import running
from lip2wav_hf.adaptation.choosing import read_phrases
from lip2wav_hf.comparison import trainings
from lip2wav_hf.corpora.languages import folder_languages
from lip2wav_hf.evaluation.clips import ClipRow
from lip2wav_hf.evaluation.run import Run, Share
from lip2wav_hf.evaluation.table import read_clips
from lip2wav_hf.grid.corpus import GridFolder, read_alignment
from lip2wav_hf.grid.splits import read_splits
from lip2wav_hf.hub.model_card import make_model_card
from lip2wav_hf.hub.plan import plan_dataset
from lip2wav_hf.metrics.pronunciation import language_of, pronounce
from lip2wav_hf.training.record import read_record

from .mutations import mutate_json, mutate_text
from .targets import CARD, FACTS, GRAMMARS, Target, Targets, void


BUNDLED = Path(lip2wav_hf.__file__).parent / "checkpoints" / "grid-s1"
ALIGNMENTS = {"a.align": b"0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 74500 sil\n"}
WORDS = {"words.txt": "bin blue at f two now\nκαλημέρα σας\n你好\nнорма straße naïve\n".encode()}
VALIDATIONS = b"".join(
    json.dumps(
        {"step": step, "seconds": step / 2, "validation/loss": 2.0 - step / 1000, "validation/stoi": 0.5}
    ).encode()
    + b"\n"
    for step in range(100, 900, 100)
)
RECORD = json.dumps(
    {
        "step": 800,
        "number": 8,
        "processes": 1,
        "options": {"pretrained": "grid-s1", "batch_size": 2},
        "clips": {"train": "x"},
        "feature_extractor": {"frame_rate": 25},
        "facts": {"training": "800 steps", "core_hours": 2.5, "trained_on": ["grid/train"]},
    }
).encode()
ADAPTATION = json.dumps(
    {
        "fingerprint": "x",
        "before": {"clips": 2, "text_wer": 0.5, "missing": ""},
        "after": {"clips": 2, "text_wer": 0.25, "missing": ""},
        "steps": 20,
        "minutes": 1.5,
        "clips": 8,
        "held_out": ["a.mp4"],
        "final_steps": 10,
        "new_words": ["yes"],
        "phrases": ["yes"],
        "stopped": "finished",
        "notes": ["few"],
    }
).encode()
ROWS = (
    b"speaker,name,sentence,text,word_confidences,text_errors,stoi,pesq_nb,process_seconds,generated_seconds\n"
    b"s1,bbaf2n,bin blue at f two now,bin blue at f two now,0.9 0.8 0.7,0,0.51,1.9,0.2,3.0\n"
    b"s1,lgbm4s,lay green by m four soon,lay red,0.9 0.8,4,0.41,1.7,0.2,3.0\n"
)
SETTINGS = b'{"model": "tiny", "metrics": ["stoi"], "files_sha256": "x", "limit": null}'


def records(base: Targets) -> dict[str, Target]:
    """The targets by name."""
    results = (BUNDLED / "results" / "validation.json").read_bytes()
    folder = base.folder / "folder"
    beside = {
        "README.md": CARD,
        "card.yaml": FACTS,
        "training.json": RECORD,
        "validation.jsonl": VALIDATIONS,
        "results/validation.json": results,
    }

    def among(name: str, read: Callable[[Path], Any], model: bool = True) -> Callable[[Path, random.Random], None]:
        """Read a folder in which one file is the changed one."""

        def read_folder(path: Path, rng: random.Random) -> None:
            shutil.rmtree(folder, ignore_errors=True)
            if model:
                shutil.copytree(base.model, folder)
            for other, content in beside.items() if model else ():
                (folder / other).parent.mkdir(parents=True, exist_ok=True)
                (folder / other).write_bytes(content)
            folder.mkdir(exist_ok=True)
            shutil.copy(path, folder / name)
            void(read(folder))

        return read_folder

    def training(place: Path) -> None:
        found = trainings.training_of(str(place))
        curve = trainings.read_curve(place)
        void(found.cells(), read_record(place))
        if curve is not None:
            void(curve.verdict, trainings.curve_table(curve))

    def evaluation(place: Path) -> None:
        rows = read_clips(place / "clips.csv")
        run = Run([], place, json.loads(SETTINGS), ["speaker", "name"], Share())
        void([row.columns() for row in rows if isinstance(row, ClipRow)], run.take_up())

    def settings(place: Path) -> None:
        (place / "clips.csv").write_bytes(ROWS)
        evaluation(place)

    def splits(place: Path) -> None:
        for name in ("bbaf2n", "lgbm4s"):
            (place / "video" / "s1").mkdir(parents=True, exist_ok=True)
            (place / "video" / "s1" / f"{name}.mpg").touch()
        void(read_splits(GridFolder(place), "custom"))

    def words(path: Path, rng: random.Random) -> None:
        lines = read_phrases(str(path)) or []
        language = language_of(lines)
        void([pronounce(word, language) for line in lines[:20] for word in line.split()[:20]])

    grid_splits = b'{"train": {"s1": ["bbaf2n"]}, "validation": {"s1": ["lgbm4s"]}}'
    return {
        "results": Target(
            {"validation.json": results}, among("results/validation.json", make_model_card), mutate_json
        ),
        "card": Target({"README.md": CARD}, among("README.md", make_model_card), mutate_text),
        "record": Target({"training.json": RECORD}, among("training.json", training), mutate_json),
        "curve": Target({"validation.jsonl": VALIDATIONS}, among("validation.jsonl", training), mutate_text),
        "stated": Target({"card.yaml": FACTS}, among("card.yaml", training), mutate_text),
        "adaptation": Target(
            {"adaptation.json": ADAPTATION}, among(running.RECORD, running.read_record, False), mutate_json
        ),
        "clips": Target({"clips.csv": ROWS}, among("clips.csv", evaluation, False), mutate_text),
        "settings": Target({"settings.json": SETTINGS}, among("settings.json", settings, False), mutate_json),
        "alignment": Target(ALIGNMENTS, lambda path, rng: void(read_alignment(path)), mutate_text),
        "grid splits": Target({"splits.json": grid_splits}, among("splits.json", splits, False), mutate_json),
        "languages": Target({"README.md": DATASET_CARD}, among("README.md", folder_languages, False), mutate_text),
        "dataset card": Target({"README.md": DATASET_CARD}, lambda path, rng: void(plan_dataset(path)), mutate_text),
        "words": Target(WORDS | GRAMMARS, words, mutate_text),
    }


DATASET_CARD = b"---\nlanguage:\n- en\n- de\nlicense: mit\npretty_name: Clips\n---\n# Clips\n"
