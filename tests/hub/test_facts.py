"""card.yaml: what a trainer leaves, what a person adds, and what is asked for."""

import pytest
import yaml

from lip2wav_hf.hub.facts import CardError, ModelFacts, card_name, known_facts, missing_facts, read_facts, start_facts


KNOWN = {"data": "Some clips.", "training": "Two steps.", "core_hours": 0.5, "hardware": "1 x a CPU"}


@pytest.fixture
def best(tmp_path):
    """`runs/my_voice/best`, with the card.yaml of the trainer beside it."""
    folder = tmp_path / "my_voice" / "best"
    folder.mkdir(parents=True)
    content = KNOWN | {"trained_on": ["mine/train"], "of_a_later_trainer": 1}
    (folder.parent / "card.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def test_a_start_takes_what_the_trainer_knows(best):
    path = start_facts(best)
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["summary"] is None  # asked for
    assert known_facts(best) == KNOWN | {"trained_on": ["mine/train"]}
    assert missing_facts(known_facts(best)) == ["summary", "license", "data_license"]
    assert "gpu_hours" not in text and "# of the weights, as the Hub names it" in text
    with pytest.raises(CardError, match="it is there already"):
        start_facts(best)


def test_a_start_from_nothing_asks_for_everything(tmp_path):
    start_facts(tmp_path)
    assert missing_facts(known_facts(tmp_path)) == [
        "summary",
        "license",
        "data",
        "data_license",
        "training",
        "hardware",
        "core_hours or gpu_hours",
    ]


def test_a_filled_in_start_is_read(best):
    path = start_facts(best)
    text = path.read_text(encoding="utf-8")
    for line in ("summary: A voice.", "license: cc-by-nc-sa-4.0", "data_license: CC BY 4.0"):
        name = line.partition(":")[0]
        before = next(each for each in text.splitlines() if each.startswith(f"{name}:"))
        text = text.replace(before, line)
    path.write_text(text, encoding="utf-8")
    facts = read_facts(path)
    assert (facts.summary, facts.core_hours, facts.trained_on) == ("A voice.", 0.5, ["mine/train"])
    assert facts.license_in_words == "CC BY-NC-SA 4.0"
    path.write_text(text + "gpu_hours: 3\n", encoding="utf-8")
    with pytest.raises(CardError, match="`core_hours` or `gpu_hours`, not both"):
        read_facts(path)


def test_a_model_is_called_after_its_run(best, tmp_path):
    assert card_name(best) == "my_voice"
    assert card_name(best.parent) == "my_voice"
    assert card_name(best, {"name": "voice"}) == "voice"


@pytest.mark.parametrize(
    ("hours", "hardware", "watts", "unit", "kwh"),
    [
        ({"core_hours": 50.0}, "two CPU cores", None, "core", 0.5),
        ({"core_hours": 50.0}, "two CPU cores", 4.0, "core", 0.2),
        ({"gpu_hours": 10.0}, "1 x NVIDIA H100 80GB HBM3", None, "GPU", 7.0),
        ({"gpu_hours": 10.0}, "1 x NVIDIA H100 80GB HBM3", 350.0, "GPU", 3.5),
        ({"gpu_hours": 10.0}, "1 x NVIDIA H100 80GB HBM3 MIG 1g.10gb", None, "GPU", None),
        ({"gpu_hours": 10.0}, "1 x a GPU of tomorrow", None, "GPU", None),
    ],
)
def test_energy_by_device(hours, hardware, watts, unit, kwh):
    """A GPU is no CPU core of 10 W; one whose power is unknown has no estimate."""
    facts = ModelFacts("", "", "", "", "", hardware, watts=watts, **hours)
    energy = facts.energy
    assert energy.unit == unit
    assert energy.kwh == (None if kwh is None else pytest.approx(kwh))
    assert energy.grams == (None if kwh is None else pytest.approx(480 * kwh))
