"""The playground: managers talk to models (docs/playground.md).

sessions   open a conversation, say something, sample more, stop, try again, wake the models
standing   how a conversation stands: what the models are doing, and what each turn shows
sending    answers on their way: to be ranked, or as a demonstration

The rows are the truth. A run of the stage talk answers, on whichever worker has it; `labeling.services.runs.talking`
carries questions and answers between the rows and its files.
"""

from labeling.services.playground.sending import Kind, SendError, as_demonstration, proposed, to_ranking
from labeling.services.playground.sessions import (
    PlaygroundError,
    Sampling,
    forget,
    sample_more,
    sampling_of,
    say,
    settle,
    start,
    stop,
    try_again,
    wake,
)
from labeling.services.playground.standing import Standing, TurnShown, shown_turn, shown_turns, standing_of

__all__ = [
    "Kind",
    "PlaygroundError",
    "Sampling",
    "SendError",
    "Standing",
    "TurnShown",
    "as_demonstration",
    "forget",
    "proposed",
    "sample_more",
    "sampling_of",
    "say",
    "settle",
    "shown_turn",
    "shown_turns",
    "standing_of",
    "start",
    "stop",
    "to_ranking",
    "try_again",
    "wake",
]
