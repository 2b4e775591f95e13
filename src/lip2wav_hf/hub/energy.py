"""
The energy that a training took, estimated from measured hours and the power of what it ran on.

The hours are measured, the power is an assumption. If the power is not known, nothing is estimated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


WATTS_PER_CORE = 10.0  # a busy server core with its share of memory, power supply and cooling; our assumption
GRAMS_PER_KWH = 480.0  # CO2e of electricity, mean of the world in 2023 (Ember, Global Electricity Review 2024)

# Maximum board power (W) by the names that torch and nvidia-smi give, from NVIDIA's data sheets. A slice of a GPU
# (MIG) has another name and is not in here: its power is unknown.
GPU_WATTS = {
    "NVIDIA A10": 150.0,
    "NVIDIA A100 80GB PCIe": 300.0,
    "NVIDIA A100-PCIE-40GB": 250.0,
    "NVIDIA A100-SXM4-40GB": 400.0,
    "NVIDIA A100-SXM4-80GB": 400.0,
    "NVIDIA GeForce RTX 3090": 350.0,
    "NVIDIA GeForce RTX 4090": 450.0,
    "NVIDIA H100 80GB HBM3": 700.0,
    "NVIDIA H100 PCIe": 350.0,
    "NVIDIA H200": 700.0,
    "NVIDIA L4": 72.0,
    "NVIDIA L40S": 350.0,
    "Tesla T4": 70.0,
    "Tesla V100-SXM2-16GB": 300.0,
    "Tesla V100-SXM2-32GB": 300.0,
}


@dataclass(frozen=True)
class TrainingEnergy:
    """
    Attributes:
        hours (`float`): measured: hours times cores, or times GPUs.
        unit (`str`): `"core"` or `"GPU"`.
        watts (`float`, *optional*): assumed power of one core or one GPU; `None` if it is unknown.
    """

    hours: float
    unit: str
    watts: float | None

    @property
    def kwh(self) -> float | None:
        """Energy in kWh; `None` if the power is unknown."""
        return None if self.watts is None else self.hours * self.watts / 1000

    @property
    def grams(self) -> float | None:
        """CO2e in grams; `None` if the power is unknown."""
        return None if self.kwh is None else self.kwh * GRAMS_PER_KWH


def gpu_watts(hardware: str) -> float | None:
    """
    Maximum power of a GPU by its name.

    Args:
        hardware (`str`): a text that ends with the name, such as `"2 x NVIDIA H100 80GB HBM3"`.

    Returns:
        `float`, *optional*: W; `None` for a GPU that is not in the table.
    """
    for name, watts in GPU_WATTS.items():
        if re.search(rf"(^|\s){re.escape(name)}$", hardware.strip()):
            return watts
    return None


def describe_energy(energy: TrainingEnergy, hardware: str, note: str = "") -> str:
    """
    The paragraphs of a card about what a training took.

    Args:
        energy ([`TrainingEnergy`]): hours and power.
        hardware (`str`): on what.
        note (`str`, *optional*): what the hours include and what not.

    Returns:
        `str`: Markdown.
    """
    measured = f"Measured: {energy.hours:g} {energy.unit}-hours, on {hardware}."
    measured += f" {note}" if note else ""
    if energy.kwh is None or energy.grams is None:
        return f"{measured}\n\nThe energy was not measured; this hardware's power is unknown, so it is not estimated."
    share = (
        "each core with its share of memory, power supply and cooling"
        if energy.unit == "core"
        else "each GPU at its power limit all the time, without the rest of the computer"
    )
    return (
        f"{measured}\n\n"
        f"Estimated from that: {_about(energy.kwh)} kWh, {_about(energy.grams)} g CO2e. It assumes {energy.watts:g} W"
        f" for {share}, and {GRAMS_PER_KWH:g} g CO2e/kWh, the mean of the world's electricity in 2023 (Ember, Global"
        " Electricity Review 2024). Neither was measured."
    )


def _about(value: float) -> str:
    """A small number with two digits, a large one without decimals."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


__all__ = [
    "GPU_WATTS",
    "GRAMS_PER_KWH",
    "WATTS_PER_CORE",
    "TrainingEnergy",
    "describe_energy",
    "gpu_watts",
]
