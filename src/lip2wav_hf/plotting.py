"""One picture of what was seen and said: mouth crops, waveform, mel spectrogram and words, over time."""

import os
import tempfile

import numpy as np


MAX_CROPS = 24
MAX_COLUMNS = 4000  # of the spectrogram; of longer speech fewer are taken


def plot_speech(path, audio, sampling_rate, words=(), crops=None, frame_rate=25.0, title=None):
    """
    Write a picture with mouth crops, waveform, mel spectrogram and words on one time axis.

    Args:
        path (`str` or `os.PathLike`): Where to write, as `.png`, `.svg` or `.pdf`. It appears whole or not at all.
        audio (`np.ndarray` of shape `(samples,)`): Speech in [-1, 1].
        sampling_rate (`int`): Of `audio`, in Hz.
        words (list of dicts with `"word"`, `"start"`, `"end"`, `"confidence"`, *optional*): Times in seconds.
        crops (`np.ndarray` of shape `(frames, height, width)`, *optional*): Gray mouth crops, uint8.
        frame_rate (`float`, *optional*, defaults to 25.0): Of `crops`, in frames/s.
        title (`str`, *optional*): Above the picture.
    """
    figure = draw_speech(audio, sampling_rate, words, crops, frame_rate, title)
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1]
    handle, temporary = tempfile.mkstemp(prefix=".lip2wav-", suffix=suffix, dir=os.path.dirname(path) or ".")
    os.close(handle)
    try:
        figure.savefig(temporary, dpi=110)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def draw_speech(audio, sampling_rate, words=(), crops=None, frame_rate=25.0, title=None):
    """As [`plot_speech`], but returns the `matplotlib.figure.Figure` instead of writing it."""
    from matplotlib.figure import Figure  # without pyplot: no window system, nothing global

    duration = len(audio) / sampling_rate
    width = float(np.clip(6 + 2.4 * duration, 8, 24))
    figure = Figure(figsize=(width, 6.4), layout="constrained")
    strip, wave, mel, text = figure.subplots(
        4, 1, sharex=True, gridspec_kw={"height_ratios": [0.8, 1.2, 2.4, 0.8], "hspace": 0.04}
    )
    _draw_crops(strip, crops, frame_rate, duration, width)
    _draw_waveform(wave, audio, sampling_rate)
    _draw_mel(figure, mel, audio, sampling_rate)
    _draw_words(text, [wave, mel], words, duration, width)
    if title:
        figure.suptitle(title, fontsize=12)
    text.set_xlim(0, max(duration, 1e-3))
    text.set_xlabel("time [s]")
    return figure


def log_mel_spectrogram(audio, sampling_rate, num_mel_bins=80, hop_length=None):
    """Power mel spectrogram of shape `(num_mel_bins, columns)`, in dB below its maximum, down to -80."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    n_fft = int(2 ** np.ceil(np.log2(0.04 * sampling_rate)))
    hop_length = hop_length or sampling_rate // 100
    filters = mel_filter_bank(n_fft // 2 + 1, num_mel_bins, 0.0, sampling_rate / 2, sampling_rate, "slaney", "slaney")
    audio = np.pad(np.asarray(audio, np.float64), (0, max(0, n_fft - len(audio))))
    mel = spectrogram(
        audio,
        window_function(n_fft, "hann"),
        n_fft,
        hop_length,
        n_fft,
        power=2.0,
        mel_filters=filters,
        mel_floor=1e-10,
    )
    decibels = 10 * np.log10(mel / max(mel.max(), 1e-10))
    return np.maximum(decibels, -80.0)


def _draw_crops(axes, crops, frame_rate, duration, figure_width):
    axes.set_yticks([])
    axes.set_ylabel("mouth")
    axes.tick_params(bottom=False)
    axes.set_ylim(0, 1)
    if crops is None or len(crops) == 0:
        return
    height, width = crops.shape[1:3]
    # As many crops as fit beside each other at their own proportions.
    count = int(np.clip((figure_width - 1.4) / (0.8 * width / height), 1, min(MAX_CROPS, len(crops))))
    edges = np.linspace(0, duration, count + 1)
    for start, end in zip(edges[:-1], edges[1:]):
        frame = crops[min(int((start + end) / 2 * frame_rate), len(crops) - 1)]
        axes.imshow(frame, cmap="gray", vmin=0, vmax=255, extent=(start, end, 0, 1), aspect="auto")


def _draw_waveform(axes, audio, sampling_rate):
    # The envelope of each block: a long waveform is drawn as fast as a short one, with no peak lost.
    block = max(1, len(audio) // 8000)
    blocks = np.pad(audio, (0, -len(audio) % block)).reshape(-1, block)
    times = (np.arange(len(blocks)) + 0.5) * block / sampling_rate
    axes.fill_between(times, blocks.min(1), blocks.max(1), color="tab:blue", linewidth=0.5)
    limit = max(0.05, 1.05 * float(np.abs(audio).max(initial=0)))
    axes.set_ylim(-limit, limit)
    axes.set_ylabel("waveform")


def _draw_mel(figure, axes, audio, sampling_rate):
    hop_length = max(sampling_rate // 100, len(audio) // MAX_COLUMNS)
    decibels = log_mel_spectrogram(audio, sampling_rate, hop_length=hop_length)
    image = axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, len(audio) / sampling_rate, 0, len(decibels)),
        vmin=-80,
        vmax=0,
    )
    ticks = [hertz for hertz in (250, 500, 1000, 2000, 4000, 8000) if hertz <= sampling_rate / 2]
    axes.set_yticks(mel_positions(ticks, sampling_rate, len(decibels)), [f"{hertz / 1000:g}" for hertz in ticks])
    axes.set_ylabel("mel spectrogram [kHz]")
    figure.colorbar(image, ax=axes, pad=0.005, fraction=0.02, label="dB")


def mel_positions(hertz, sampling_rate, num_mel_bins):
    """Where frequencies, in Hz, lie on the vertical axis of [`log_mel_spectrogram`], in bins."""
    from transformers.audio_utils import hertz_to_mel

    top = hertz_to_mel(sampling_rate / 2, "slaney")
    return [float(hertz_to_mel(float(value), "slaney") / top * num_mel_bins) for value in hertz]


def _draw_words(axes, above, words, duration, figure_width):
    """A box for each word, green when the model is sure of it and red when not, with its confidence under it."""
    from matplotlib import colormaps

    axes.set_yticks([])
    axes.set_ylim(0, 1)
    axes.set_ylabel("words")
    inches_per_second = (figure_width - 1.4) / max(duration, 1e-3)
    for index, word in enumerate(words):
        middle = (word["start"] + word["end"]) / 2
        colour = colormaps["RdYlGn"](word["confidence"])
        axes.axvspan(word["start"], word["end"], facecolor=colour, alpha=0.6, edgecolor="white", linewidth=1)
        for panel in above if inches_per_second > 0.5 else ():
            for edge in (word["start"], word["end"]):
                panel.axvline(edge, color="gray", linewidth=0.6, alpha=0.7)
        # Neighbours stand on two lines. Labels that would touch the next but one are left out.
        others = [words[i] for i in (index - 2, index + 2) if 0 <= i < len(words)]
        room = min((abs(middle - (other["start"] + other["end"]) / 2) for other in others), default=duration)
        if room * inches_per_second > 0.85:
            label = f"{word['word']} {word['confidence']:.0%}"
            axes.text(middle, 0.72 - 0.44 * (index % 2), label, ha="center", va="center", fontsize=9)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
