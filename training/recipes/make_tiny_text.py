"""Writes tiny_text.txt, the plain text on which the tiny byte-level model is pretrained.

    python -m training.recipes.make_tiny_text

The text is tiny_prose.txt, written by hand, mixed with pieces that the templates below make from a small vocabulary
(tiny_words.py). A model of a few million parameters learns spelling from the repetition and short sentences from the
structure. Pieces are separated by two empty lines. The same code gives the same bytes: a test compares them.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from training.recipes.tiny_words import (
    ANIMALS,
    COLOURED,
    COLOURS,
    DAYS,
    FRUITS,
    JOBS,
    MONTHS,
    NAMES,
    NUMBERS,
    OPPOSITES,
    PAST,
    PLACES,
    THINGS,
    VEGETABLES,
    WEATHERS,
)

HERE: Final = Path(__file__).parent
SEPARATOR: Final = "\n\n\n"
SEED: Final = 1
PIECES_PER_TEMPLATE: Final = 45
TRIES_PER_PIECE: Final = 20


def an(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def chat(question: str, answer: str) -> str:
    """One question and its answer, as in the hand-written pieces."""
    return f"User: {question}\nAssistant: {answer}"


def number(value: int) -> str:
    return NUMBERS[value]


def animal_fact(rng: Random) -> str:
    name, (home, food, habit, legs) = rng.choice(list(ANIMALS.items()))
    sentences = [
        f"The {name} lives {home}.",
        f"It eats {food}.",
        f"It {habit}.",
        f"It has {legs} legs.",
    ]
    first, *rest = sentences
    rng.shuffle(rest)
    return " ".join([first, *rest])


def animal_question(rng: Random) -> str:
    name, (home, food, habit, legs) = rng.choice(list(ANIMALS.items()))
    return rng.choice(
        [
            chat(f"Where does the {name} live?", f"The {name} lives {home}."),
            chat(f"What does the {name} eat?", f"The {name} eats {food}."),
            chat(f"How many legs has the {name}?", f"The {name} has {legs} legs."),
            chat(f"Tell me something about the {name}.", f"The {name} lives {home}. It eats {food}, and it {habit}."),
        ]
    )


def sum_question(rng: Random) -> str:
    left, right = rng.randint(0, 10), rng.randint(0, 10)
    total = f"{number(left)} plus {number(right)}"
    return chat(f"What is {total}?", f"{total.capitalize()} is {number(left + right)}.")


def difference_question(rng: Random) -> str:
    left = rng.randint(1, 20)
    right = rng.randint(0, left)
    rest = f"{number(left)} minus {number(right)}"
    return chat(f"What is {rest}?", f"{rest.capitalize()} is {number(left - right)}.")


def opposite_question(rng: Random) -> str:
    word, other = rng.choice(OPPOSITES)[:: rng.choice([1, -1])]
    return chat(f"What is the opposite of {word}?", f"The opposite of {word} is {other}.")


def past_question(rng: Random) -> str:
    now, then = rng.choice(PAST)
    name = rng.choice(NAMES)
    return chat(
        f'What is the past of "{now}"? Use it with {name}.', f"Today {name} may {now}. Yesterday {name} {then}."
    )


def order_question(rng: Random) -> str:
    row = rng.choice([DAYS, MONTHS])
    at = rng.randrange(len(row))
    after, before = row[(at + 1) % len(row)], row[at - 1]
    return rng.choice(
        [
            chat(f"What comes after {row[at]}?", f"After {row[at]} comes {after}."),
            chat(f"What comes before {row[at]}?", f"Before {row[at]} comes {before}."),
        ]
    )


def colour_question(rng: Random) -> str:
    thing, colour = rng.choice(COLOURED)
    return chat(f"What colour is {thing}?", f"{thing.capitalize()} is {colour}.")


def job_question(rng: Random) -> str:
    job, work = rng.choice(JOBS)
    name = rng.choice(NAMES)
    return rng.choice(
        [
            chat(f"What does {an(job)} do?", f"{an(job).capitalize()} {work}."),
            chat(f"{name} {work}. What is {name}?", f"{name} is {an(job)}."),
        ]
    )


def where_question(rng: Random) -> str:
    names, places = rng.sample(NAMES, 3), rng.sample(PLACES, 3)
    facts = " ".join(f"{name} is {place}." for name, place in zip(names, places, strict=True))
    asked = rng.randrange(3)
    return chat(f"{facts} Where is {names[asked]}?", f"{names[asked]} is {places[asked]}.")


def who_has_question(rng: Random) -> str:
    giver, taker = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    return chat(f"{giver} gives the {thing} to {taker}. Who has the {thing}?", f"{taker} has the {thing}.")


def odd_one_question(rng: Random) -> str:
    words = [*rng.sample(FRUITS, 3), rng.choice(["hammer", "spoon", "ladder", "shoe", "bell", "key"])]
    odd = words[-1]
    rng.shuffle(words)
    return chat(f"Which word does not fit: {', '.join(words)}?", f"The word {odd} does not fit. The others are fruits.")


def list_question(rng: Random) -> str:
    groups: dict[str, tuple[str, ...]] = {
        "fruits": ("apples", "pears", "plums", "cherries", "lemons"),
        "vegetables": VEGETABLES,
        "animals": tuple(f"the {name}" for name in ANIMALS),
        "colours": tuple(COLOURS),
    }
    group, words = rng.choice(list(groups.items()))
    first, second, third = rng.sample(words, 3)
    return chat(f"Name three {group}.", f"Three {group} are {first}, {second} and {third}.")


def polite_question(rng: Random) -> str:
    verb, thing = rng.choice(["give me", "bring me", "show me", "pass me"]), rng.choice(THINGS)
    command = f"{verb.capitalize()} the {thing}."
    return chat(f"Make this polite: {command}", f"Could you {verb} the {thing}, please?")


def lost_story(rng: Random) -> str:
    name, friend = rng.sample(NAMES, 2)
    thing, colour = rng.choice(THINGS), rng.choice(COLOURS)
    first, second, third = rng.sample(PLACES, 3)
    return (
        f"{name} had lost {an(colour)} {thing}. It was not {first}. It was not {second}."
        f' "Have you seen my {thing}?" asked {name}. "Yes," said {friend}. "It is {third}."'
        f" {name} went to look, and there it was, {third}."
    )


def weather_story(rng: Random) -> str:
    day, name, friend = rng.choice(DAYS), *rng.sample(NAMES, 2)
    weather, sign, deed = rng.choice(WEATHERS)
    return (
        f"On {day} it was {weather}. {sign}. {name} and {friend} {deed}."
        f" In the evening they ate {rng.choice(['soup', 'bread', 'rice', 'cake'])} and went to bed"
        f" {rng.choice(['early', 'late', 'at nine', 'at ten'])}."
    )


def friend_story(rng: Random) -> str:
    first, second = rng.sample(list(ANIMALS), 2)
    home, food = ANIMALS[first][0], ANIMALS[first][1]
    return (
        f"Once there was {an(first)} who lived {home}. One day {an(second)} came by. "
        f'"I am hungry," said the {second}. "I have {food}," said the {first}. "Do you like {food}?"'
        f' "I do not know," said the {second}, "but I like to eat with somebody."'
        f" So they sat down together, and the {first} was not alone any more."
    )


def help_story(rng: Random) -> str:
    name, friend = rng.sample(NAMES, 2)
    job, work = rng.choice(JOBS)
    place = rng.choice(PLACES)
    return (
        f"{name} is {an(job)}. Every day {name} {work}. On {rng.choice(DAYS)} {name} was ill and stayed in bed."
        f' {friend} came with soup. "Who does your work today?" asked {friend}. "Nobody," said {name}.'
        f" So {friend} went and did the work, as well as one can on the first day."
        f" In the evening they sat {place} and laughed about it."
    )


def letter(rng: Random) -> str:
    sender, receiver = rng.sample(NAMES, 2)
    thing, month = rng.choice(THINGS), rng.choice(MONTHS)
    return (
        f"Dear {receiver}, thank you for the {thing}. It is {rng.choice(['very nice', 'just right', 'so useful'])}."
        f" I am well, and it is {rng.choice(WEATHERS)[0]} here. In {month} I will come and see you."
        f" I will bring {rng.choice(FRUITS)} jam and {an(rng.choice(THINGS))}. Yours, {sender}."
    )


def recipe(rng: Random) -> str:
    first, second, third = rng.sample(VEGETABLES, 3)
    minutes = rng.choice(["ten", "fifteen", "twenty", "thirty"])
    return (
        f"Soup of {first} and {second}: Wash the {first} and the {second} and cut them. Put them into a pot with"
        f" some {third}. Add water and salt. Cook the soup for {minutes} minutes. Taste it, and eat it with bread."
    )


def shop_dialogue(rng: Random) -> str:
    goods, price = rng.choice(VEGETABLES), rng.randint(2, 9)
    given = rng.randint(price + 1, 12)
    return (
        f'"Good morning. Do you have {goods}?" "Yes, we have {goods}. How many would you like?"'
        f' "{number(rng.randint(2, 12)).capitalize()}, please." "That is {number(price)} coins."'
        f' "Here are {number(given)} coins." "Thank you. You get {number(given - price)} back. Goodbye!"'
    )


def person(rng: Random) -> str:
    name, friend = rng.sample(NAMES, 2)
    job, work = rng.choice(JOBS)
    return (
        f"{name} is {number(rng.randint(6, 20))} years old and has {an(rng.choice(COLOURS))} coat."
        f" {name} likes {rng.choice(VEGETABLES)}, but not {rng.choice(FRUITS)} cake."
        f" The best friend of {name} is {friend}, {an(job)} who {work}."
    )


def room(rng: Random) -> str:
    first, second, third = rng.sample(THINGS, 3)
    colour, other = rng.sample(COLOURS, 2)
    return (
        f"The room has {an(colour)} door and {an(other)} window. On the table there is {an(first)}."
        f" Under the bed there is {an(second)}. Beside the stove there is {an(third)}."
    )


def summary_question(rng: Random) -> str:
    name, place, day = rng.choice(NAMES), rng.choice(PLACES), rng.choice(DAYS)
    thing = rng.choice(THINGS)
    text = (
        f"On {day} {name} was {place}. It was {rng.choice(WEATHERS)[0]}. {name} looked for a long time,"
        f" and at last {name} found the {thing}."
    )
    return chat(f"Sum up in one sentence: {text}", f"On {day} {name} found the {thing} {place}.")


def mood_question(rng: Random) -> str:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    good = rng.choice([True, False])
    deed = rng.choice(["found", "got", "was given"] if good else ["lost", "broke", "missed"])
    mood = "glad" if good else "sad"
    return chat(f"{name} {deed} the {thing}. Is {name} glad or sad?", f"{name} is {mood}.")


TEMPLATES: Final[tuple[Callable[[Random], str], ...]] = (
    animal_fact, animal_question, sum_question, difference_question, opposite_question, past_question, order_question,
    colour_question, job_question, where_question, who_has_question, odd_one_question, list_question, polite_question,
    lost_story, weather_story, friend_story, help_story, letter, recipe, shop_dialogue, person, room, summary_question,
    mood_question,
)  # fmt: skip


def from_template(template: Callable[[Random], str], rng: Random) -> list[str]:
    """Up to PIECES_PER_TEMPLATE different pieces; small templates have fewer to give."""
    pieces: dict[str, None] = {}
    for _ in range(PIECES_PER_TEMPLATE * TRIES_PER_PIECE):
        pieces[template(rng)] = None
        if len(pieces) == PIECES_PER_TEMPLATE:
            break
    return list(pieces)


def tiny_text() -> str:
    """The whole text: hand-written and generated pieces in one seeded order."""
    rng = Random(SEED)
    pieces = (HERE / "tiny_prose.txt").read_text(encoding="utf-8").strip("\n").split(SEPARATOR)
    for template in TEMPLATES:
        pieces.extend(from_template(template, rng))
    pieces = list(dict.fromkeys(pieces))
    rng.shuffle(pieces)
    return SEPARATOR.join(pieces) + "\n"


if __name__ == "__main__":
    (HERE / "tiny_text.txt").write_text(tiny_text(), encoding="utf-8")
