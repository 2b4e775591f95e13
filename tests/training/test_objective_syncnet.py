"""What the sync network learns from, on vectors and pictures whose shift is known."""

import numpy as np
import pytest
import torch

from lip2wav_hf import Lip2WavSyncNet, Lip2WavSyncNetConfig
from lip2wav_hf.training.arguments import LossArguments
from lip2wav_hf.training.objective_syncnet import SyncNetObjective, clip_loss, frame_loss, shift_loss


TINY = {"image_height": 8, "image_width": 12, "stem_channels": 4, "visual_channels": [4, 8], "hidden_size": 16}
TINY |= {"num_layers": 1, "kernel_size": 3, "embedding_size": 8, "num_mel_bins": 10, "max_shift": 4}
TINY |= {"normalization_frames": 9}


def test_losses_of_the_right_and_of_a_wrong_shift():

    vectors = torch.nn.functional.normalize(torch.randn(3, 30, 64, generator=torch.Generator().manual_seed(0)), dim=-1)
    mask = torch.ones(3, 24)
    video, audio = vectors[:, :24], vectors[:, 4:28]  # the sound is cut 4 frames later: frame t is its frame t - 4
    assert frame_loss(video, audio, mask, mask, -4, 6) < 0.01 < 1.0 < frame_loss(video, audio, mask, mask, -3, 6)
    assert shift_loss(video, audio, mask, mask, -4, 6) < 0.01 < 1.0 < shift_loss(video, audio, mask, mask, -3, 6)
    assert clip_loss(video, audio, mask, mask, -4) < 0.01 < 0.1 < clip_loss(video, audio, mask, mask, -3)
    # Vectors that are all alike tell nothing: 7 of the shifts, and all 3 clips, are equally likely.
    same = torch.ones(3, 24, 64) / 8
    assert shift_loss(same, same, mask, mask, 0, 3).item() == pytest.approx(np.log(7), abs=1e-4)
    assert clip_loss(same, same, mask, mask, 0).item() == pytest.approx(np.log(3), abs=1e-4)


def test_objective_learns_the_time_of_a_flash():
    """A picture that lights up with a tone: after a few steps the network tells how late the tone is."""

    torch.manual_seed(0)
    objective = tiny_objective().train()
    optimizer = torch.optim.AdamW(objective.model.parameters(), 3e-3)
    for _ in range(60):
        losses = objective(flashes(8, 0)).losses
        sum(losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert sorted(losses) == ["clips", "frames", "shifts"]
    objective.eval()
    for late, accepted in ((0, lambda share: share >= 0.8), (3, lambda share: share <= 0.2)):
        losses, offsets = objective.validate(flashes(16, late))
        assert sorted(losses) == ["clips", "frames", "shifts"] and len(offsets) == 16
        assert accepted(objective.measures(offsets)["within_one_frame"])


def test_offsets_of_one_frame_count_as_right():
    assert tiny_objective().measures([0, 1, -1, 2]) == {"within_one_frame": 0.75}


def tiny_objective() -> SyncNetObjective:
    return SyncNetObjective(Lip2WavSyncNet(Lip2WavSyncNetConfig(**TINY)), LossArguments())


def flashes(batch: int, late: int, frames: int = 32) -> dict[str, torch.Tensor]:
    light = (torch.rand(batch, frames) < 0.3).float()
    sound = light.roll(late, 1).repeat_interleave(640, 1)
    return {
        "pixel_values_videos": light[:, :, None, None, None] + 0.05 * torch.randn(batch, frames, 1, 8, 12),
        "frame_mask": torch.ones(batch, frames).long(),
        "waveform": 0.3 * sound * torch.sin(torch.arange(640 * frames) * 0.3) + 0.001 * torch.randn_like(sound),
        "stretch": torch.ones(batch),
    }
