"""The entry point of trainings: `accelerate launch -m lip2wav_hf.train`."""
