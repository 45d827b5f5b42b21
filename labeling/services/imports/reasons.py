"""Why a row was not taken, in words for the person who brought it. And what was noticed on rows that were."""

NO_PROMPT = "no prompt"
NOT_A_CONVERSATION = "not text or messages"
NOT_THE_USERS_TURN = "last message is not the user's"
CANNOT_BE_STORED = "characters that cannot be stored"
PROMPT_TOO_LONG = "prompt too long"
RESPONSE_TOO_LONG = "response too long"
PERSONAL_DATA = "personal data"
ALREADY_HERE = "already here"
TWICE_IN_FILE = "twice in this file"
NEAR_DUPLICATE = "near duplicate"
OVER_THE_CAP = "over the cap per customer"
UNKNOWN_SPLIT = "unknown split"
TOO_FEW_RESPONSES = "fewer than 2 responses"
TOO_MANY_RESPONSES = "more than 32 responses"
RESPONSE_NOT_TEXT = "response is not text"
JUDGEMENT_DOES_NOT_FIT = "judgement does not fit the responses"
NO_DEMONSTRATION = "no demonstration"
DEMONSTRATION_NOT_TEXT = "demonstration is not text"
ANOTHER_BY_SAME_WRITER = "another one by the same writer is here"
ONLY_FOR_EVALUATION = "only for evaluation, but its prompt trains"

# Notes: the row was taken, and this was seen or left out.
NOTE_PERSONAL_DATA = "personal data, taken as asked"
NOTE_CATEGORY = "category without a use case, taken as Other"
NOTE_LANGUAGE = "language not a code, guessed by script"
NOTE_COMPARISONS = "comparisons not a ranking"
NOTE_BOTH_WAYS = "a comparison judged both ways by one person"
NOTE_PARTIAL = "not every response judged"
NOTE_NO_OVERALL = "ratings without an overall score"
NOTE_AGAINST_RANKS = "some comparisons disagree with the ranks"
NOTE_OTHER_JUDGEMENT = "this labeler judged it differently before"
NOTE_EMPTY_RESPONSE = "an empty response"
NOTE_SAME_RESPONSES = "identical responses"


class Refused(Exception):  # noqa: N818  # it reads as what it says: raise Refused(…)
    """This row is not taken."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
