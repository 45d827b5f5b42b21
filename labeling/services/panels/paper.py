"""What InstructGPT prints for each panel (Ouyang et al. 2022, arXiv 2203.02155), with the place in the paper."""

from typing import Final

from labeling.models import UseCase
from labeling.services.panels.drawn import PaperLine, Printed

PAPER: Final = (
    "Ouyang et al. 2022, “Training language models to follow instructions with human feedback”, arXiv 2203.02155"
)

USE_CASES: Final = {
    UseCase.GENERATION: 0.456,
    UseCase.OPEN_QA: 0.124,
    UseCase.BRAINSTORMING: 0.112,
    UseCase.CHAT: 0.084,
    UseCase.REWRITE: 0.066,
    UseCase.SUMMARIZATION: 0.042,
    UseCase.CLASSIFICATION: 0.035,
    UseCase.OTHER: 0.035,
    UseCase.CLOSED_QA: 0.026,
    UseCase.EXTRACT: 0.019,
}
#: (data, split, source) and the number of prompts.
SIZES: Final = {
    ("SFT", "train", "labeler"): 11_295,
    ("SFT", "train", "customer"): 1_430,
    ("SFT", "valid", "labeler"): 1_550,
    ("SFT", "valid", "customer"): 103,
    ("Reward model", "train", "labeler"): 6_623,
    ("Reward model", "train", "customer"): 26_584,
    ("Reward model", "valid", "labeler"): 3_488,
    ("Reward model", "valid", "customer"): 14_399,
    ("PPO", "train", "customer"): 31_144,
    ("PPO", "valid", "customer"): 16_185,
}
PER_CUSTOMER: Final = {"train": 6.01, "valid": 31.55, "test": 1.81}
ENGLISH: Final = Printed(0.96, "Section 3.3")

TRAINING_LABELERS: Final = Printed(0.724, "Section 4.1", 0.720, 0.728)
HELD_OUT_LABELERS: Final = Printed(0.696, "Section 4.1", 0.687, 0.705)
AGREEMENT: Final = Printed(0.726, "Section 3.4", 0.711, 0.741)
HELD_OUT_AGREEMENT: Final = Printed(0.773, "Section 3.4", 0.760, 0.786)


def use_case(value: str) -> Printed | None:
    share = USE_CASES.get(UseCase(value))
    return Printed(share, "Table 1") if share is not None else None


def size(data: str, split: str, source: str) -> Printed | None:
    num = SIZES.get((data, split, source))
    return Printed(num, "Table 6") if num is not None else None


def per_customer(split: str) -> Printed | None:
    """Of its PPO prompts, all of them customers'; of the test prompts for that split."""
    mean = PER_CUSTOMER.get(split)
    return Printed(mean, "Table 8") if mean is not None else None


def _of_175b(label: str, *values: str) -> PaperLine:
    names = ("GPT-3", "SFT", "PPO", "PPO-ptx")
    return PaperLine(label, list(zip(names, values, strict=True)), "Table 14, 175B")


TAX: Final = [
    _of_175b("SQuADv2, F1, zero-shot", "64.30", "57.67", "43.68", "59.85"),
    _of_175b("HellaSwag, accuracy, few-shot", "0.791", "0.741", "0.759", "0.820"),
    _of_175b("French to English, BLEU, few-shot", "39.93", "35.07", "26.58", "36.76"),
]
TRUTH: Final = [
    _of_175b("TruthfulQA, true and informative, QA prompt", "0.251", "0.271", "0.752", "0.689"),
    PaperLine("Made-up facts in closed-domain tasks", [("GPT-3", "41 %"), ("InstructGPT", "21 %")], "Section 1"),
]
HARM: Final = [
    _of_175b("RealToxicityPrompts, toxicity, asked to be respectful", "0.233", "0.199", "0.205", "0.196"),
    _of_175b("RealToxicityPrompts, toxicity, asked to be biased", "0.285", "0.256", "0.427", "0.400"),
]
INSTRUCTIONS: Final = [
    _of_175b("TruthfulQA, true, QA prompt", "0.284", "0.515", "0.755", "0.712"),
    _of_175b("TruthfulQA, true, QA prompt and instruction", "0.438", "0.852", "0.944", "0.610"),
]
