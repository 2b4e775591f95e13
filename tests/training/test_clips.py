"""Clips that are prepared once, and those that cannot be."""

from lip2wav_hf import Lip2WavFeatureExtractor
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.grid.corpus import clip_of_file, sentence_words
from lip2wav_hf.training.cache import read_cached_clip
from lip2wav_hf.training.clips import prepare_clips


def test_prepared_clips_are_cached_and_bad_ones_reported(corpus, tmp_path, caplog):
    clips = load_split(corpus, "train")[:2]
    broken = Clip("s9", "bbaf2n", tmp_path / "bbaf2n.mkv", tuple(sentence_words("bbaf2n")))
    broken.video.write_bytes(b"nothing")
    prepared = prepare_clips(
        [*clips, broken], Lip2WavFeatureExtractor(), tmp_path / "cache", num_workers=2, progress=False
    )
    files = prepared.files
    assert prepared.clips == clips and sorted(files) == sorted(clip.key for clip in clips)
    assert list(prepared.problems) == ["s9/bbaf2n"]
    assert "s9/bbaf2n" in caplog.text and "1 of 3 clips cannot be used" in caplog.text
    cached = read_cached_clip(files[clips[0].key])
    assert cached.regions.shape == (75, 48, 72) and cached.waveform.shape == (48000,)
    assert set(cached.frame_words.tolist()) == {-1, 0, 1, 2, 3, 4, 5}
    changed = {key: path.stat().st_mtime_ns for key, path in files.items()}
    Lip2WavFeatureExtractor().save_pretrained(tmp_path / "extractor")
    same = Lip2WavFeatureExtractor.from_pretrained(tmp_path / "extractor")
    again = prepare_clips(clips, same, tmp_path / "cache", num_workers=1, progress=False).files
    assert {key: path.stat().st_mtime_ns for key, path in again.items()} == changed


def test_an_alignment_that_contradicts_the_name_is_reported(corpus, tmp_path, caplog):
    clip = load_split(corpus, "train")[0]
    folder = tmp_path / "video" / "s1"
    folder.mkdir(parents=True)
    wrong = "bbaf2n" if clip.name != "bbaf2n" else "swiz9s"
    (folder / f"{wrong}.mkv").write_bytes(clip.video.read_bytes())
    alignments = tmp_path / "alignments" / "s1"
    alignments.mkdir(parents=True)
    source = corpus / "alignments" / clip.speaker / f"{clip.name}.align"
    (alignments / f"{wrong}.align").write_text(source.read_text())
    mislabelled = clip_of_file(folder / f"{wrong}.mkv")
    assert prepare_clips([mislabelled], Lip2WavFeatureExtractor(), tmp_path / "cache", num_workers=1).files == {}
    assert "the name says" in caplog.text
