"""From messages to token ids and back.

Control tokens (start, roles, end, padding) come from the chat template alone. What people wrote is tokenised apart
from it, with special tokens switched off, so that a prompt that contains the text "<|end|>" is those seven characters
and not the end. For the same reason prompt and response are tokenised apart: the prompt's ids are always a true
prefix of the row, in training exactly as in sampling.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from training.contract.records import Message

PAD, START, END = "<|pad|>", "<|start|>", "<|end|>"
ROLE_TOKENS: Final = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
BYTE_CHAT_TEMPLATE: Final = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PLAIN_CHAT_TEMPLATE: Final = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] }}"
    "{% else %}{{ message['content'] }}{% endif %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


class TextError(ValueError):
    """A tokenizer or chat template that cannot be used, with the reason."""


class Text:
    """A tokenizer with a chat template, a pad token and an end token that differ."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.num_added_tokens = _complete(tokenizer)
        self.pad_id: int = tokenizer.pad_token_id
        self.end_id: int = tokenizer.eos_token_id
        self._pieces = lru_cache(maxsize=1024)(self._template_pieces)

    def __len__(self) -> int:
        return len(self.tokenizer)

    def prompt_ids(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> list[int]:
        """The conversation up to where the assistant is to speak.

        A prompt of more than `max_tokens` keeps the template's opening and loses the beginning of what follows it.
        """
        pieces = self._pieces(tuple(message.role for message in messages))
        ids = list(pieces[0])
        for message, piece in zip(messages, pieces[1:], strict=True):
            ids += self.content_ids(message.content)
            ids += piece
        if max_tokens is None or len(ids) <= max_tokens:
            return ids
        opening = pieces[0] if len(pieces[0]) < max_tokens // 2 else ()
        return list(opening) + ids[len(ids) - (max_tokens - len(opening)) :]

    def response_ids(self, text: str, *, max_tokens: int | None = None) -> list[int]:
        """The response and its end token. A response that is too long loses its end, and the end token with it."""
        ids = [*self.content_ids(text), self.end_id]
        return ids if max_tokens is None else ids[:max_tokens]

    def content_ids(self, text: str) -> list[int]:
        """Plain text: never a control token, whatever it contains."""
        if not text:
            return []
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens left out; bytes that are not UTF-8 become U+FFFD."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def save(self, folder: Path) -> None:
        """Write the tokenizer and its chat template into a model folder."""
        self.tokenizer.save_pretrained(folder)

    def _template_pieces(self, roles: tuple[str, ...]) -> list[list[int]]:
        """The template's own tokens before, between and after the contents of messages with these roles."""
        marks = [f"\ue000{index}\ue001" for index in range(len(roles))]
        messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
        try:
            rest: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # jinja raises what the template's author chose
            raise TextError(f"the chat template refuses the roles {', '.join(roles)}: {error}") from error
        pieces = []
        for mark in marks:
            piece, found, rest = rest.partition(mark)
            if not found:
                raise TextError(
                    "the chat template drops or reorders messages, so they cannot be told from its own tokens"
                )
            pieces.append(piece)
        return [self._control_ids(piece) for piece in [*pieces, rest]]

    def _control_ids(self, piece: str) -> list[int]:
        ids: list[int] = self.tokenizer(piece, add_special_tokens=False, split_special_tokens=False)["input_ids"]
        return ids


def byte_text() -> Text:
    """The tokenizer of the tiny model: 256 bytes and six control tokens. Built here, nothing is downloaded."""
    vocabulary = {character: index for index, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return with_control_tokens(tokenizer)


def with_control_tokens(tokenizer: Tokenizer) -> Text:
    """A tokenizer of one's own with the tiny model's control tokens, which it may lack, and its chat template."""
    fast_class: Any = PreTrainedTokenizerFast
    fast = fast_class(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        additional_special_tokens=list(ROLE_TOKENS.values()),
    )
    fast.chat_template = BYTE_CHAT_TEMPLATE
    return Text(fast)


def load_text(model: str) -> Text:
    """The tokenizer of a model folder, or of a model on the hub. Raises TextError."""
    is_folder = Path(model).is_dir()
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False, local_files_only=is_folder)
    except (OSError, ValueError) as error:
        raise TextError(f"no tokenizer can be read from {model}: {error}") from error
    return Text(tokenizer)


def _complete(tokenizer: Any) -> int:
    """Give the tokenizer what it lacks; returns how many tokens were added (the model's embedding may have to grow)."""
    if tokenizer.eos_token_id is None:
        raise TextError("the tokenizer has no end token")
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        # padding that is also the end token makes every mask made from ids wrong
        return int(tokenizer.add_special_tokens({"pad_token": PAD}))
    return 0
