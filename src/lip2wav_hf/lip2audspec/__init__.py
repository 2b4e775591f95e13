"""Lip2AudSpec (Akbari et al. 2018), a system to compare with: auditory spectrogram, autoencoder, network."""
