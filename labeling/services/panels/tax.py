"""Panel 3: what training for preferences costs in plain language modelling, with and without pretraining gradients."""

import math
from typing import Any, Final

from labeling.services.agreement import Figure
from labeling.services.panels import paper, words
from labeling.services.panels.drawn import Chart, Line, Missing, Panel
from labeling.services.panels.evaluations import PPO, PTX, SFT, Comparable, Measured, figure, source_of

ABOUT: Final[dict[str, Any]] = {
    "key": "tax",
    "title": "Alignment tax",
    "question": "How much plain language did the policies lose, and does PPO-ptx keep it?",
}
CAVEATS: Final = [
    "Podium measures the loss on held-out plain text; the paper measures tasks (figures 28, 29, 33 and 34). Both ask"
    " whether something was unlearned, but the numbers cannot be compared.",
    "Losses of models with different tokenizers can be compared in bits per byte only.",
]


def panel(found: Comparable, missing: list[Missing]) -> Panel:
    loss = Chart("Loss on public text", _losses(found), unit="nats", hint=_where(found), is_bars=False)
    rise = Chart("Rise over the model it came from", _rises(found), unit="nats", hint="0 is no tax", mark=0.0)
    caveats = [*found.caveats(), *CAVEATS]
    if found.measured and not loss.has_intervals:
        caveats.append("These evaluations were made before intervals of the loss were measured; newer ones have them.")
    return Panel(
        **ABOUT, says=_says(found), charts=[loss, rise], paper=paper.TAX, caveats=caveats, missing=missing
    ).drawn()


def loss_of(one: Measured) -> Figure:
    """With its interval, where the run measured one."""
    return figure(one.values.get("loss_interval") or one.values.get("loss"))


def tax_of(one: Measured) -> Figure:
    return figure(one.part.get("alignment_tax_interval") or one.part.get("alignment_tax"))


def _losses(found: Comparable) -> list[Line]:
    lines = []
    for one in found.measured:
        loss, bits = loss_of(one), one.values.get("bits_per_byte")
        if loss.value is not None:
            note = f"perplexity {math.exp(min(loss.value, 700)):,.1f}"
            note += f", {bits:.2f} bits per byte" if isinstance(bits, int | float) else ""
            lines.append(Line(one.policy.label, loss, source_of(one.run), note=note))
    return lines


def _rises(found: Comparable) -> list[Line]:
    return [
        Line(one.policy.label, tax_of(one), source_of(one.run))
        for one in found.measured
        if not one.is_reference and tax_of(one).value is not None
    ]


def _where(found: Comparable) -> str:
    return f"nats per token on {found.data}; less is better" if found.data else "nats per token; less is better"


def _says(found: Comparable) -> list[str]:
    sft, said = found.of_kind(SFT), []
    before = loss_of(sft) if sft else None
    for kind, how in ((PPO, "Without pretraining gradients"), (PTX, "With pretraining gradients")):
        one = found.of_kind(kind)
        if one and sft and before and before.value is not None and (loss := loss_of(one)).value is not None:
            tax = loss.value - before.value
            what = f"{abs(tax):.3f} nats per token {'worse' if tax > 0 else 'better'} than {sft.policy.name}"
            said.append(f"{how}, {one.policy.name} reads plain text {what}.")
    without, with_ptx = found.of_kind(PPO), found.of_kind(PTX)
    if without and with_ptx:
        saved = (loss_of(without).value or 0.0) - (loss_of(with_ptx).value or 0.0)
        verb = "saves" if saved > 0 else "costs"
        said.append(
            f"PPO-ptx {verb} {abs(saved):.3f} nats per token here."
            f" {words.how_sure(loss_of(without), loss_of(with_ptx))}"
        )
    return said
