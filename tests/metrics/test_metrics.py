"""The metric modules `pesq`, `stoi` and `grid_wer`, and what all metrics share: known values and defined cases."""

import os
from pathlib import Path

import numpy as np
import pytest


evaluate = pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.corpora.registry import load_split  # noqa: E402
from lip2wav_hf.grid.corpus import sentence_words  # noqa: E402
from lip2wav_hf.metrics import METRICS, metric_folder  # noqa: E402
from lip2wav_hf.metrics.grid_wer.grid_wer import (  # noqa: E402
    CHANCE_WER,
    GridRecognizer,
    score_transcripts,
)
from lip2wav_hf.metrics.pesq.score import LOWEST, pesq_pair  # noqa: E402
from lip2wav_hf.metrics.stoi.score import overflowing_int16, stoi_pair  # noqa: E402
from lip2wav_hf.metrics.waveforms import WaveformError, check_pair, check_waveform, resample  # noqa: E402
from lip2wav_hf.metrics.words import align_words, utterance_wer  # noqa: E402
from lip2wav_hf.metrics.words import score_transcripts as score_words  # noqa: E402
from lip2wav_hf.synthetic.voice import synthesize_speech  # noqa: E402


RATE = 16_000
NAMES = ("lgbz3a", "swwk7p")
SENTENCES = [" ".join(sentence_words(name)) for name in NAMES]
PEERS = {
    "lip2audspec": {"pesq_nb": 1.574, "pesq_wb": 1.330, "stoi": 0.526, "estoi": 0.289},
    "vid2speech": {"pesq_nb": 1.371, "pesq_wb": 1.093, "stoi": 0.600, "estoi": 0.337},
}


@pytest.fixture(scope="module")
def speech() -> list[np.ndarray]:
    """Two synthetic sentences, 16 kHz."""
    return [np.asarray(synthesize_speech(sentence_words(name), "synthetic1").waveform, np.float64) for name in NAMES]


@pytest.fixture(scope="module")
def recognizer() -> GridRecognizer:
    return GridRecognizer()


@pytest.fixture(scope="module")
def peers_dir() -> Path:
    default = Path(__file__).resolve().parents[3] / "shared" / "data" / "peers"
    folder = Path(os.environ.get("LIP2WAV_PEERS") or default)
    if not folder.is_dir():
        pytest.skip(f"no published outputs of other systems: there is no folder {folder} (set LIP2WAV_PEERS)")
    return folder


def with_noise(waveform: np.ndarray, snr_db: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=len(waveform))
    return waveform + noise * np.sqrt(np.mean(waveform**2) / 10 ** (snr_db / 10))


@pytest.mark.parametrize("name", METRICS)
def test_module_folder_has_code_and_card(name):
    folder = Path(metric_folder(name))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / f"{name}.py").is_file()
    assert card.startswith("---\n") and "## Use" in card and "## Limits" in card


def test_unknown_metric_is_named():
    with pytest.raises(ValueError, match="no metric 'mos'.*pesq"):
        metric_folder("mos")


def test_identity_gives_ideal_values(speech):
    pesq = evaluate.load(metric_folder("pesq")).compute(predictions=speech, references=speech, sampling_rate=RATE)
    assert pesq["pesq_nb"] == pytest.approx(4.5486, abs=1e-3)
    assert pesq["pesq_wb"] == pytest.approx(4.6439, abs=1e-3)
    assert (pesq["cut_samples"], pesq["silent_predictions"], pesq["unscorable"]) == ([0, 0], 0, 0)
    stoi = evaluate.load(metric_folder("stoi")).compute(predictions=speech, references=speech, sampling_rate=RATE)
    assert stoi["stoi"] == pytest.approx(1.0) and stoi["estoi"] == pytest.approx(1.0)


def test_noise_orders_every_quality_metric(speech):
    for clean in speech:
        levels = [with_noise(clean, snr) for snr in (20, 10, 0)]
        scores = [pesq_pair(x, clean, RATE) | stoi_pair(x, clean, RATE) for x in [clean, *levels]]
        for key in ("pesq_nb", "pesq_wb", "stoi", "estoi"):
            values = [score[key] for score in scores]
            assert values == sorted(values, reverse=True) and len(set(values)) == 4, (key, values)


def test_wrong_clip_scores_below_noise(speech):
    one, other = speech
    wrong, noisy = stoi_pair(other, one, RATE), stoi_pair(with_noise(one, 0), one, RATE)
    assert wrong["stoi"] < noisy["stoi"] and wrong["estoi"] < noisy["estoi"]
    assert pesq_pair(other, one, RATE)["pesq_nb"] < 2


@pytest.mark.parametrize("system", PEERS)
def test_published_outputs_of_other_systems(system, peers_dir):
    from scipy.io import wavfile

    predictions, references = [], []
    for path in sorted((peers_dir / system / "predicted").glob("*.wav")):
        rates = []
        for waveforms, file in ((predictions, path), (references, peers_dir / system / "original" / path.name)):
            rate, samples = wavfile.read(file)
            waveforms.append(resample(check_waveform(samples, str(file)), rate, RATE))
            rates.append(rate)
        assert rates == [8000, 8000]
    assert len(predictions) == 20
    scores = {}
    for name in ("pesq", "stoi"):
        module = evaluate.load(metric_folder(name))
        scores |= module.compute(predictions=predictions, references=references, sampling_rate=RATE)
    for key, expected in PEERS[system].items():
        assert scores[key] == pytest.approx(expected, abs=0.005), key


def test_unequal_lengths_are_cut_and_reported(speech):
    clean = speech[0]
    assert pesq_pair(clean[:-800], clean, RATE)["cut_samples"] == 800
    scores = stoi_pair(np.pad(clean, (0, 320)), clean, RATE)
    assert scores["cut_samples"] == 320 and scores["stoi"] == pytest.approx(1.0)


def test_sampling_rate_is_respected(speech):
    clean = speech[0]
    noisy = with_noise(clean, 10)
    at_16 = pesq_pair(noisy, clean, RATE) | stoi_pair(noisy, clean, RATE)
    up = [resample(x, RATE, 48_000) for x in (noisy, clean)]
    at_48 = pesq_pair(*up, 48_000) | stoi_pair(*up, 48_000)
    assert at_48["stoi"] == pytest.approx(at_16["stoi"], abs=0.01)
    assert at_48["pesq_nb"] == pytest.approx(at_16["pesq_nb"], abs=0.1)
    with pytest.raises(WaveformError, match="sampling rate"):
        pesq_pair(noisy, clean, 0)


def test_silence_has_a_defined_score(speech):
    clean, silence = speech[0], np.zeros(len(speech[0]))
    pesq = evaluate.load(metric_folder("pesq"))
    result = pesq.compute(predictions=[silence, clean], references=[clean, silence], sampling_rate=RATE)
    assert result["pesq_nb"] == pytest.approx(LOWEST["nb"]) and result["pesq_wb"] == pytest.approx(LOWEST["wb"])
    assert np.isnan(result["pesq_nb_per_clip"][1])
    assert (result["silent_predictions"], result["unscorable"]) == (1, 1)
    stoi = evaluate.load(metric_folder("stoi"))
    result = stoi.compute(predictions=[silence, clean], references=[clean, silence], sampling_rate=RATE)
    assert (result["stoi"], result["estoi"]) == (0, 0) and np.isnan(result["stoi_per_clip"][1])
    assert (result["silent_predictions"], result["unscorable"]) == (1, 1)


def test_too_little_sound_in_the_original_is_unscorable():
    click = np.zeros(RATE)
    click[5000:6000] = np.sin(np.arange(1000) / 3)
    assert stoi_pair(click, click, RATE)["outcome"] == "unscorable"


@pytest.mark.parametrize("pair", [pesq_pair, stoi_pair])
def test_bad_waveforms_are_refused_by_name(pair, speech):
    clean = speech[0]
    broken = clean.copy()
    broken[7] = np.nan
    for bad, message in (
        (broken, "prediction 3 has 1 NaN"),
        (clean[:1000], "prediction 3 is too short: 1000 samples"),
        (np.stack([clean, clean]), "one channel"),
        (clean * 32768, "divide 16-bit samples by 32768"),
    ):
        with pytest.raises(WaveformError, match=message):
            pair(bad, clean, RATE, index=3)


def test_integers_are_scaled_and_clipping_is_kept():
    assert check_waveform(np.array([-32768, 16384], np.int16), "x").tolist() == [-1.0, 0.5]
    assert check_waveform([1.5, -2.0], "x").tolist() == [1.5, -2.0]
    assert check_pair(np.ones(5), np.ones(9), 10, 0.5)[2] == 4


def test_shortest_accepted_clip_can_be_scored(speech):
    start = int(np.argmax(np.abs(speech[0])))
    for rate_samples in (6557, 6600):
        piece = speech[0][start - 3000 : start - 3000 + rate_samples]
        assert stoi_pair(piece, piece, RATE)["outcome"] in ("scored", "unscorable")
    piece = speech[0][start : start + 4000]
    assert pesq_pair(piece, piece, RATE)["outcome"] in ("scored", "unscorable")


def test_word_errors_by_hand():
    errors = align_words("bin blue at f two now", "bin red at two now please")
    assert (errors.substitutions, errors.deletions, errors.insertions) == (1, 1, 1)
    assert errors.heard_as == ("bin", "red", "at", "", "two", "now")
    assert align_words("bin blue at f two now", "").deletions == 6
    assert align_words("", "bin blue").insertions == 2


def test_corpus_level_rate_slots_and_confusions():
    scores = score_transcripts(["bin blue at f two now", "set red by z nine soon"], ["bin blue at s two now", ""])
    assert scores["wer"] == pytest.approx(7 / 12) and scores["empty"] == 1
    assert scores["errors_per_clip"] == [1, 6]
    assert scores["slot_wer"]["letter"] == 1.0 and scores["slot_wer"]["command"] == 0.5
    assert scores["confusions"]["letter"] == {"f": {"s": 1}, "z": {"": 1}}
    assert "wer_compat" not in scores


def test_one_total_of_both_rates_of_words():
    sentences, heard = ["bin blue at f two now", "set red by z nine soon"], ["bin blue at s two now", ""]
    of_grid, of_any = (score(sentences, heard, compat=True) for score in (score_transcripts, score_words))
    assert {name: of_grid[name] for name in of_any} == of_any
    assert of_any["wer_compat"] == pytest.approx((1 / 6 + 1) / 2)


def test_chance_level_is_that_of_the_grammar():
    assert CHANCE_WER == pytest.approx((4 * 3 / 4 + 24 / 25 + 9 / 10) / 6) == pytest.approx(0.81)


def test_judge_hears_synthetic_speech_and_adds_its_floor(speech):
    grid_wer = evaluate.load(metric_folder("grid_wer"))
    result = grid_wer.compute(
        predictions=[speech[0], np.zeros(RATE)],
        references=SENTENCES,
        sampling_rate=RATE,
        reference_waveforms=speech,
    )
    assert result["transcripts"] == [SENTENCES[0], ""]
    assert result["reference_transcripts"] == SENTENCES
    assert (result["wer"], result["floor_wer"], result["wer_to_original"]) == (0.5, 0.0, 0.5)
    assert (result["empty"], result["deletions"], result["words"]) == (1, 6, 12)


def test_judge_scores_text_and_refuses_what_is_not_grid():
    grid_wer = evaluate.load(metric_folder("grid_wer"))
    assert grid_wer.compute(predictions=["lay green by z two again"], references=SENTENCES[:1])["errors"] == 1
    with pytest.raises(ValueError, match="'hello world', not a GRID sentence"):
        grid_wer.compute(predictions=["lay"], references=["hello world"])
    with pytest.raises(ValueError, match="sampling_rate is missing"):
        grid_wer.compute(predictions=[np.zeros(RATE)], references=SENTENCES[:1])


def test_transcript_does_not_depend_on_the_clips_before(speech, recognizer):
    alone = recognizer.transcribe(with_noise(speech[1], 5), RATE)
    for other in (speech[0] * 0.01, np.random.default_rng(1).normal(size=RATE) * 0.3):
        recognizer.transcribe(other, RATE)
        assert recognizer.transcribe(with_noise(speech[1], 5), RATE) == alone


def test_judge_takes_any_rate_level_and_length(speech, recognizer):
    assert recognizer.transcribe(resample(speech[0], RATE, 48_000), 48_000) == SENTENCES[0]
    assert recognizer.transcribe((speech[0] * 20_000).astype(np.int16), RATE) == SENTENCES[0]
    loud = speech[0] / np.abs(speech[0]).max() * 1.2  # a little of it is clipped
    assert recognizer.transcribe(loud, RATE) == SENTENCES[0]
    assert recognizer.transcribe(np.zeros(0), RATE) == "" and recognizer.transcribe(speech[0][:100], RATE) == ""
    with pytest.raises(WaveformError, match="NaN"):
        recognizer.transcribe(np.full(RATE, np.nan), RATE)


def test_letter_a_and_british_zed_are_known(recognizer):
    assert recognizer.decoder.lookup_word("letter_a") == "EY"
    assert recognizer.decoder.lookup_word("letter_z") == "Z IY"
    assert recognizer.decoder.lookup_word("letter_z(2)") == "Z EH D"


def test_floor_on_real_speech(grid_dir, recognizer):
    """The floor that the card gives for s3: 3 of 126 words of the original audio."""
    from lip2wav_hf.audio import read_audio

    clips = load_split(grid_dir, "unseen_validation", ["s3"])
    heard = [recognizer.transcribe(read_audio(clip.video, RATE), RATE) for clip in clips]
    assert score_transcripts([" ".join(clip.words) for clip in clips], heard)["wer"] == pytest.approx(0.024, abs=0.01)


def test_compat_pesq_goes_through_16_khz(speech):
    noisy = with_noise(speech[0], 10)
    scores = pesq_pair(noisy, speech[0], RATE, compat=True)
    assert scores["pesq_compat"] == scores["pesq_nb"]
    at_48 = pesq_pair(*(resample(x, RATE, 48_000) for x in (noisy, speech[0])), 48_000, compat=True)
    assert at_48["pesq_compat"] == pytest.approx(scores["pesq_compat"], abs=0.1)
    assert "pesq_compat" not in pesq_pair(noisy, speech[0], RATE)


def test_filtered_stoi_leaves_out_pauses_that_plain_stoi_counts(speech):
    """Hum keeps pauses above STOI's threshold; what is heard in them then counts, unless the hum is filtered away."""
    clean = speech[0]
    time = np.arange(2 * len(clean)) / RATE
    generator = np.random.default_rng(0)
    noise = [1e-3 * np.abs(clean).max() * generator.standard_normal(len(clean)) for _ in range(2)]
    hum = 0.3 * np.abs(clean).max() * np.sin(2 * np.pi * 20 * time)
    one, other = (np.concatenate([clean, pause]) + hum for pause in noise)
    scores = stoi_pair(one, other, RATE, compat=True)
    assert scores["stoi"] < 0.8 and scores["stoi_filtered"] > 0.95
    assert scores["estoi"] < 0.8 and scores["estoi_filtered"] > 0.95
    same = stoi_pair(one, one, RATE, compat=True)
    assert same["stoi_filtered"] == pytest.approx(1) and same["estoi_filtered"] == pytest.approx(1)


def test_compat_stoi_overflows_beyond_half_scale(speech):
    assert overflowing_int16(np.array([0.25, 0.5, -0.5, 0.75, 1.0])).tolist() == [16384, -32768, -32768, -16384, 0]
    noisy, clean = with_noise(speech[0], 10), speech[0]
    peak = max(np.abs(noisy).max(), np.abs(clean).max())
    quiet = stoi_pair(noisy / peak * 0.49, clean / peak * 0.49, RATE, compat=True)
    assert quiet["stoi_compat"] == pytest.approx(quiet["stoi"], abs=1e-3)
    loud = stoi_pair(noisy / peak, clean / peak, RATE, compat=True)
    assert loud["stoi"] == pytest.approx(quiet["stoi"], abs=1e-6)
    assert abs(loud["stoi_compat"] - loud["stoi"]) > 0.005


def test_compat_word_error_rate_is_the_mean_of_the_clips_rates():
    assert utterance_wer("sil bin blue sp at f two now sil", "bin blue at s two now") == pytest.approx(1 / 6)
    assert np.isnan(utterance_wer("sil", "bin"))
    references, heard = ["bin blue at f two now", "set red"], ["bin blue at s two now", ""]
    scores = score_transcripts(references, heard, compat=True)
    assert scores["wer"] == pytest.approx(3 / 8)
    assert scores["wer_compat"] == pytest.approx((1 / 6 + 1) / 2)


def test_modules_add_compat_values_where_asked(speech):
    noisy = [with_noise(clean, 10) for clean in speech]
    waveforms = {"predictions": noisy, "references": speech, "sampling_rate": RATE}
    for name in ("pesq", "stoi"):
        module = evaluate.load(metric_folder(name))
        assert f"{name}_compat" not in module.compute(**waveforms)
        result = module.compute(**waveforms, compat=True)
        assert result[f"{name}_compat"] == pytest.approx(np.mean(result[f"{name}_compat_per_clip"]))
    grid_wer = evaluate.load(metric_folder("grid_wer"))
    result = grid_wer.compute(
        predictions=speech, references=SENTENCES, sampling_rate=RATE, reference_waveforms=speech, compat=True
    )
    assert (result["wer_compat"], result["floor_wer_compat"], result["wer_to_original_compat"]) == (0, 0, 0)
