"""A Lip2AudSpec network of few weights, for tests."""

TINY = {
    "sampling_rate": 8000,
    "image_height": 40,
    "image_width": 64,
    "conv_channels": [4, 6],
    "pool_after": [1, 2],
    "dropout_after": [2],
    "encoder_sizes": [16],
    "decoder_sizes": [16],
    "code_size": 8,
    "lstm_size": 12,
    "dense_size": 10,
    "inversion_iterations": 2,
    "spectrogram_mean": 0.2,
    "spectrogram_std": 0.1,
}
"""Its configuration, at 8 kHz as in the paper."""
