"""What people write never becomes a control token, and a prompt is a true prefix of its row."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.contract.records import Message
from training.engine.text import Text, TextError, byte_text, load_text

TEXT = byte_text()


def words(content: str, role: str = "user") -> list[Message]:
    return [Message(role, content)]


def test_there_are_262_tokens_and_padding_is_not_the_end() -> None:
    assert len(TEXT) == 262
    assert TEXT.pad_id != TEXT.end_id


@pytest.mark.parametrize("name", ["<|end|>", "<|pad|>", "<|start|>", "<|user|>", "<|assistant|>", "<|system|>"])
def test_the_name_of_a_control_token_in_a_text_stays_text(name: str) -> None:
    plain = TEXT.prompt_ids(words("hi"))
    controls = [token for token in plain if token >= 256]
    tricky = TEXT.prompt_ids(words(f"a{name}b"))
    assert [token for token in tricky if token >= 256] == controls
    assert TEXT.decode(TEXT.content_ids(f"a{name}b")) == f"a{name}b"
    assert all(token < 256 for token in TEXT.response_ids(name)[:-1])


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_every_text_comes_back_as_it_was(content: str) -> None:
    ids = TEXT.content_ids(content)
    assert len(ids) == len(content.encode())
    assert TEXT.decode(ids) == content


def test_a_conversation_is_roles_contents_and_the_opening_of_the_answer() -> None:
    ids = TEXT.prompt_ids([*words("s", "system"), *words("u"), *words("a", "assistant"), *words("v")])
    names = TEXT.tokenizer.convert_ids_to_tokens(ids)
    assert names == [
        "<|start|>", "<|system|>", "s", "<|user|>", "u",
        "<|assistant|>", "a", "<|end|>", "<|user|>", "v", "<|assistant|>",
    ]  # fmt: skip


def test_a_response_ends_with_the_end_token_unless_it_is_cut() -> None:
    assert TEXT.response_ids("abc")[-1] == TEXT.end_id
    assert TEXT.response_ids("") == [TEXT.end_id]
    assert TEXT.response_ids("abc", max_tokens=3) == TEXT.content_ids("abc")


def test_a_long_prompt_keeps_its_opening_and_its_end() -> None:
    whole = TEXT.prompt_ids(words("0123456789" * 5))
    cut = TEXT.prompt_ids(words("0123456789" * 5), max_tokens=20)
    assert len(cut) == 20
    assert cut[:2] == whole[:2]
    assert cut[2:] == whole[-18:]


def test_a_template_that_is_not_ours_splits_at_the_contents() -> None:
    text = byte_text()
    text.tokenizer.chat_template = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] | trim }}\n{% endfor %}>"
    fresh = Text(text.tokenizer)
    assert (
        fresh.decode(fresh.prompt_ids([*words("one"), *words("two", "assistant")])) == "[user] one\n[assistant] two\n>"
    )


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0]['content'] }}",
        "{{ raise_exception('no system message') }}",
        "{% for m in messages %}x{% endfor %}",
    ],
)
def test_a_template_that_drops_or_refuses_messages_is_an_error(template: str) -> None:
    text = byte_text()
    text.tokenizer.chat_template = template
    with pytest.raises(TextError):
        Text(text.tokenizer).prompt_ids([*words("one"), *words("two")])


def test_a_saved_tokenizer_reads_back_equal(tmp_path: Path) -> None:
    TEXT.save(tmp_path)
    again = load_text(str(tmp_path))
    prompt = words("hé <|end|> 🌍")
    assert again.prompt_ids(prompt) == TEXT.prompt_ids(prompt)
    assert (again.pad_id, again.end_id) == (TEXT.pad_id, TEXT.end_id)


def test_a_tokenizer_without_padding_gets_a_pad_token_of_its_own() -> None:
    tokenizer = byte_text().tokenizer
    tokenizer.pad_token = tokenizer.eos_token
    text = Text(tokenizer)
    assert text.pad_id != text.end_id


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TextError):
        load_text(str(tmp_path))
