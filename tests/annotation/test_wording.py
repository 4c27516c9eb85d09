"""Texts as they are kept and compared, and the splits that follow."""

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.adding import NewPrompt, add_prompts
from annotation.models import Pool, Prompt, Split, Wording
from annotation.refusals import Refused
from annotation.wording import cleaned, cleaned_messages, digest_of, pool_for, split_for, storable
from tests.world import World, make_person, make_prompt

TEXT = st.text(max_size=200)
CHAT = st.lists(st.text(min_size=1, max_size=20).filter(str.strip), min_size=1, max_size=7).map(
    lambda texts: [
        {"role": ("user", "assistant")[place % 2], "content": text}
        for place, text in enumerate(texts[: len(texts) | 1])
    ]
)
AUTHOR = st.none() | st.integers(1, 10**9)


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class TestDigests:
    @given(TEXT)
    def test_do_not_see_white_space_or_unicode_form(self, text: str) -> None:
        spaced = f"  {text.replace(' ', '  ')}\n"
        assert digest_of(said(spaced)) == digest_of(said(text))
        assert digest_of(said(unicodedata.normalize("NFD", text))) == digest_of(
            said(unicodedata.normalize("NFC", text))
        )

    @given(TEXT, TEXT)
    def test_tell_texts_apart(self, one: str, other: str) -> None:
        plain = [" ".join(unicodedata.normalize("NFC", text).split()) for text in (one, other)]
        assert (digest_of(said(one)) == digest_of(said(other))) == (plain[0] == plain[1])

    def test_tell_one_message_from_two(self) -> None:
        assert digest_of(said("a b")) != digest_of([*said("a"), {"role": "assistant", "content": "b"}])


class TestSplits:
    @given(st.integers(1, 10**6), AUTHOR, TEXT)
    def test_are_stable(self, project: int, author: int | None, text: str) -> None:
        digest = digest_of(said(text))
        assert split_for(project, author, digest) == split_for(project, author, digest)

    @given(st.integers(1, 10**6), st.integers(1, 10**6), TEXT, TEXT)
    def test_are_the_authors_whatever_they_write(self, project: int, author: int, one: str, other: str) -> None:
        assert split_for(project, author, digest_of(said(one))) == split_for(project, author, digest_of(said(other)))

    def test_are_80_10_10_of_authors(self) -> None:
        counts = Counter(split_for(1, author, "") for author in range(20_000))
        assert counts[Split.TRAIN] / 20_000 == pytest.approx(0.8, abs=0.01)
        assert counts[Split.VALIDATION] / 20_000 == pytest.approx(0.1, abs=0.01)

    def test_and_of_texts_without_an_author(self) -> None:
        counts = Counter(split_for(1, None, digest_of(said(str(number)))) for number in range(20_000))
        assert counts[Split.TRAIN] / 20_000 == pytest.approx(0.8, abs=0.01)

    def test_differ_between_projects(self) -> None:
        assert {split_for(project, 7, "") for project in range(100)} == set(Split)

    def test_say_nothing_about_the_pool(self) -> None:
        digests = [digest_of(said(str(number))) for number in range(20_000)]
        for split in Split:
            pools = [pool_for(digest) for digest in digests if split_for(1, None, digest) == split]
            assert pools.count(Pool.REWARD) / len(pools) == pytest.approx(0.5, abs=0.04)


class TestEqualTexts:
    def test_keep_the_split_of_the_first(self, world: World) -> None:
        first = make_prompt(world.project, "Is it raining?", author=world.alice)
        authors = [make_person(f"author-{number}") for number in range(12)]
        others = [make_prompt(world.project, " Is it\nraining? ", author=author) for author in authors]
        assert len({split_for(world.project.pk, author.pk, "") for author in authors}) > 1
        assert {(prompt.split, prompt.pool) for prompt in others} == {(first.split, first.pool)}

    def test_in_one_batch_keep_the_split_of_the_first(self, world: World) -> None:
        authors = [make_person(f"author-{number}") for number in range(12)]
        rows = [NewPrompt(said("Is it raining?"), author=author) for author in authors]
        prompts = add_prompts(world.project, rows)
        assert {prompt.split for prompt in prompts} == {split_for(world.project.pk, authors[0].pk, "")}
        assert Wording.objects.count() == 1

    def test_of_other_projects_do_not_matter(self, world: World) -> None:
        make_prompt(world.project)
        make_prompt(world.next_door)
        assert Wording.objects.count() == 2

    def test_all_prompts_of_an_author_share_a_split(self, world: World) -> None:
        for number in range(20):
            make_prompt(world.project, f"What is {number} + {number}?", author=world.bob)
        assert len(set(Prompt.objects.values_list("split", flat=True))) == 1
        assert set(Prompt.objects.values_list("pool", flat=True)) == set(Pool)


class TestWhatIsKept:
    @given(st.text(st.characters(codec=None)))
    def test_can_always_be_stored(self, text: str) -> None:
        kept = storable(text)
        assert "\x00" not in kept
        assert kept.encode().decode() == kept

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\x00")))
    def test_is_unchanged_where_it_can_be(self, text: str) -> None:
        assert storable(text) == text

    @given(CHAT)
    def test_cleaning_twice_is_cleaning_once(self, chat: list[dict[str, str]]) -> None:
        try:
            once = cleaned_messages(chat, longest=10_000)
        except Refused:
            return
        assert cleaned_messages(once, longest=10_000) == once

    def test_has_a_length(self) -> None:
        assert cleaned("x" * 10, longest=10) == "x" * 10
        with pytest.raises(Refused, match="has 11 characters; at most 10"):
            cleaned("x" * 11, longest=10)
        with pytest.raises(Refused, match="have 12 characters together"):
            cleaned_messages([*said("x" * 4), {"role": "assistant", "content": "x" * 4}, *said("x" * 4)], longest=10)
