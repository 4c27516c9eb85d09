"""Near repeats and personal data are found, and what only looks like them is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.likeness import ALIKE, TOGETHER, alike, all_bands, bands_of, likeness
from annotation.personal_data import Kind, luhn, personal_data
from tests.world import World, make_prompt


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


FIRST = "Write a short story about a lighthouse keeper who finds a letter in a bottle."


@pytest.mark.parametrize(
    "text",
    [
        FIRST,
        "write a short story about a lighthouse-keeper who finds a letter in a bottle!",
        "Write a short story about a lighthouse keeper who finds a map in a bottle.",
        "Please write a short story about a lighthouse keeper who finds a letter in a bottle, thanks.",
    ],
)
def test_a_near_repeat_is_found(world: World, text: str) -> None:
    make_prompt(world.project, FIRST)
    make_prompt(world.project, "Name three rivers.")
    assert [like.text for like in alike(world.project, said(text))] == [FIRST]


@pytest.mark.parametrize(
    "text",
    [
        "Write a short poem about a lighthouse.",
        "Write a short story about a bus driver who loses the key to the garage.",
        "写一个关于灯塔看守人的短篇故事。",
        "Hi",
    ],
)
def test_another_text_is_not(world: World, text: str) -> None:
    make_prompt(world.project, FIRST)
    assert alike(world.project, said(text)) == []


def test_a_near_repeat_in_chinese_is_found(world: World) -> None:
    make_prompt(world.project, "请写一封信给你的房东，说明厨房的水龙头漏水，并请他尽快来修理。")
    near = "请写一封信给你的房东，说明浴室的水龙头漏水，并请他尽快来修理。"
    assert len(alike(world.project, said(near))) == 1


def test_what_is_edited_is_no_repeat_of_itself_and_another_projects_texts_stay_there(world: World) -> None:
    own = make_prompt(world.project, FIRST)
    make_prompt(world.next_door, FIRST)
    assert alike(world.project, own.messages, besides=own.pk) == []


@given(st.text(max_size=200))
def test_a_text_is_like_itself_and_has_a_dozen_numbers_or_none(text: str) -> None:
    bands = bands_of(said(text))
    assert len(bands) in (0, 12)
    assert bands == bands_of(said(text))
    assert likeness(said(text), said(text)) == (1.0 if bands else 0.0)
    assert all(-(2**31) <= band < 2**31 for band in bands)


def test_the_numbers_of_many_texts_are_those_of_each() -> None:
    texts = ["Name a river.", "", "ab", "说出一条河流的名字。", "Hi! " * TOGETHER, "Name a river.", "Name a mountain."]
    chats = [[{"role": "user", "content": text}] for text in texts]
    assert all_bands(chats) == [bands_of(chat) for chat in chats]
    assert all_bands([]) == []


def test_the_numbers_in_the_index_stay_what_they_are() -> None:
    expected = [1840031107, 128406285, -1553484457, -50084788, 1397410909, -1408227294]
    assert bands_of([{"role": "user", "content": "Name a river."}])[:6] == expected


def test_the_index_finds_what_is_alike_nearly_always() -> None:
    """One word of twelve exchanged, 200 times over: the promise of the module is 95% at the least likeness."""
    words = [f"word{number}er" for number in range(400)]
    missed = counted = 0
    for at in range(200):
        text = words[at : at + 12]
        one, other = said(" ".join(text)), said(" ".join([*text[:5], "else", *text[6:]]))
        if likeness(one, other) < ALIKE:
            continue
        counted += 1
        missed += not set(bands_of(one)) & set(bands_of(other))
    assert counted > 100
    assert missed / counted < 0.1


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("Write to jane.doe+news@mail.example.org now.", Kind.EMAIL, "jane.doe+news@mail.example.org"),
        ("My card is 4111 1111 1111 1111, take it.", Kind.CARD, "4111 1111 1111 1111"),
        ("5500-0055-5555-5559", Kind.CARD, "5500-0055-5555-5559"),
        ("SSN 078-05-1120", Kind.IDENTITY, "078-05-1120"),
        ("身份证11010519491231002X。", Kind.IDENTITY, "11010519491231002X"),
        ("IBAN DE89 3704 0044 0532 0130 00", Kind.ACCOUNT, "DE89 3704 0044 0532 0130 00"),
        ("Call +49 (30) 901820-100!", Kind.PHONE, "+49 (30) 901820-100"),
        ("请打13812345678找我", Kind.PHONE, "13812345678"),
        ("(020) 7946 0958", Kind.PHONE, "(020) 7946 0958"),
        ("call 415-555-2671", Kind.PHONE, "415-555-2671"),
    ],
)
def test_personal_data_is_found(text: str, kind: Kind, found: str) -> None:
    assert personal_data(text) == [(kind, found)]


@pytest.mark.parametrize(
    "text",
    [
        "In 2024-10-12 at 10:30, 1,000,000 people paid 12.50 each.",
        "4111 1111 1111 1112",
        "11010519491231002Y 110105194912310021",
        "pi is 3.14159265358979323846",
        "0000 0000 0000 0000",
        "666-12-3456 and 000-12-3456",
        "me@home and @handle",
        "ISBN 978-3-16-148410-0 and version 1.2.3-4",
        "2 + 2 = 4, 10-20-30, 1990-2000",
    ],
)
def test_what_is_no_personal_data_stays_quiet(text: str) -> None:
    assert personal_data(text) == []


@given(st.text(alphabet="0123456789", min_size=12, max_size=18))
def test_exactly_one_check_digit_fits(number: str) -> None:
    assert sum(luhn(number + digit) for digit in "0123456789") == 1


@given(st.text(max_size=300))
def test_any_text_is_looked_through(text: str) -> None:
    for found in personal_data(text):
        assert found.text in text
