"""How the gold reads a text: which words it mentions, and whether it is language at all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from training.starter.instructions import WORLDS

_ARTICLES = set("a an the my your our their".split())
_PREPOSITIONS = set("at in on of from with into near by for about".split())
_AUXILIARIES = set("is are was were am can could will would should may might does did has have had".split())
_CONJUNCTIONS = set("and or but because".split())
_SUBJECTS = set("i he she we they".split())
_OTHERS = set(
    "it its you him us them me this that these those who what which there here to so as if not no be been do "
    "his her too very please".split()
)
_FUNCTION_WORDS = _ARTICLES | _PREPOSITIONS | _AUXILIARIES | _CONJUNCTIONS | _SUBJECTS | _OTHERS
_NEVER_AFTER_AN_ARTICLE = _ARTICLES | _PREPOSITIONS | _AUXILIARIES | _CONJUNCTIONS | _SUBJECTS | {"."}
_NEVER_AFTER_A_PREPOSITION = _PREPOSITIONS | _AUXILIARIES | _CONJUNCTIONS | _SUBJECTS
_NEVER_AFTER_A_CONJUNCTION = _CONJUNCTIONS | {"."}
_VERBS = set(
    "eat eats live lives sleep sleeps ran sang slept danced found sat run swim get gets got went go see sees saw take "
    "took buy bought give gave like likes love loves name names ask hope hopes try read play feed watch meet make made "
    "belong belongs own owns says said thank thanks call called needs need wants want look looks used".split()
)
_DETERMINERS = _ARTICLES | set("this that one no any each every another his her its whose s two".split())
_CHINESE_FUNCTION = set("的是了在有和吗呢吧请您你我他她它把会可以也很这那去吃住到给因为就都还不")
_CHINESE_TOLD = set("的是在和有你我他她它请您把这那因可能")

RUDE = re.compile(
    r"\b(silly|stupid|dumb|lazy|idiot|boring|shut up|leave me alone|wast(e|ing) (of )?(my )?time|who cares|go away|"
    r"nonsense|ugh|fool|foolish|whatever)\b|无聊|笨|别烦|傻|蠢|滚|废话|懒|连这个都不懂|关我什么事|浪费我的时间",
    re.IGNORECASE,
)
EMPTY = re.compile(
    r"\b(as everyone knows|needless to say|i am an expert|let me think|so much to say|it goes without saying|"
    r"as i said before|at the end of the day)\b|众所周知|我是所有方面的专家|说来话长|不用说|让我想想",
    re.IGNORECASE,
)
REFUSAL = re.compile(
    r"\b(i do not know|i don't know|no idea|ask (someone|somebody) else|rather not|talk about the weather)\b|"
    r"我不知道|问别人|不想回答|聊聊天气|不清楚",
    re.IGNORECASE,
)


def is_chinese(text: str) -> bool:
    return sum("\u4e00" <= character <= "\u9fff" for character in text) > len(text) / 4


def sentences(text: str) -> list[str]:
    """The sentences of a text in lower case, without their punctuation."""
    parts = re.split(r"[.!?;。！？；\n]+", text.lower())
    return [" ".join(re.findall(r"[\w'%-]+", part)) for part in parts if re.search(r"\w", part)]


def units(text: str) -> list[str]:
    """The words of an English text, the characters of a Chinese one, in lower case and without punctuation."""
    if is_chinese(text):
        return re.findall(r"\w", text)
    return re.findall(r"[a-z0-9]+", normal(text))


def normal(text: str) -> str:
    """Lower case, words and sentence ends alone, "n't" and "'s" taken apart, a blank at both ends."""
    text = text.lower().replace("’", "'").replace("n't", " not").replace("'s ", " 's ")
    tokens = re.findall(r"[a-z0-9]+|[^\W\d_a-z]|[.!?]", text)
    return " " + " ".join(tokens) + " "


@cache
def forms(word: str, language: str) -> tuple[str, ...]:
    """The ways in which a text can mention a word: as it is, inflected, or by a synonym; longest first."""
    ways = {word, *WORLDS[language].synonyms.get(word, ())}
    if language == "en":
        ways = {inflected for way in ways for inflected in _inflections(way.lower())}
    return tuple(sorted(ways, key=lambda way: (-len(way), way)))


def _inflections(phrase: str) -> set[str]:
    """Plural, past and -ing of the first and the last word of a phrase."""
    words = phrase.split()
    ways = {phrase}
    for place in {0, len(words) - 1}:
        word = words[place]
        stem = word.removesuffix("e")
        endings = {word + ending for ending in ("s", "es", "ed", "d", "ing", word[-1] + "ing")} | {stem + "ing"}
        if word.endswith("y"):
            endings |= {word[:-1] + "ies", word[:-1] + "ied"}
        ways |= {" ".join([*words[:place], ending, *words[place + 1 :]]) for ending in endings}
    return ways


def mentions(text: str, words: Iterable[str], language: str) -> list[str]:
    """Which of the words a text mentions. `text` is as `normal` makes it."""
    return [word for word in words if any(_found(text, form, language) for form in forms(word, language))]


def without(text: str, words: Iterable[str], language: str) -> str:
    """The text with every mention of the words taken out."""
    every = {form for word in words for form in forms(word, language)}
    for form in sorted(every, key=len, reverse=True):
        needle = _needle(form, language)
        text = text.replace(needle, " ")
    return text


def names_any(text: str, words: Iterable[str], language: str) -> int:
    """How many of the words a text names outright (no synonyms, which may be innocent)."""
    plural = "s" if language == "en" else ""
    return sum(_found(text, word, language) or _found(text, word + plural, language) for word in words)


def _found(text: str, form: str, language: str) -> bool:
    return _needle(form, language) in text


def _needle(form: str, language: str) -> str:
    if language == "en":
        return f" {form.lower()} "
    return f" {' '.join(form)} "


def is_sentence(text: str) -> bool:
    """Whether a text is told in sentences and not a list of keywords."""
    if is_chinese(text):
        characters = re.findall(r"\w", text)
        if len(re.findall(r"[、，,\s]", text)) > 1 and not _CHINESE_TOLD.intersection(characters):
            return False
        return len(characters) >= 4 and sum(c in _CHINESE_FUNCTION for c in characters) / len(characters) >= 0.1
    words = units(text)
    if len(words) < 2:
        return False
    share = sum(word in _FUNCTION_WORDS for word in words) / len(words)
    verbs = any(word in _VERBS or word in _AUXILIARIES for word in words) or bool(
        re.search(r"\b[a-z]{3,}(ed|ing)\b", text)
    )
    told = _AUXILIARIES | _CONJUNCTIONS | _SUBJECTS | {"it", "you", "me", "us", "let"}
    greeting = bool(re.match(r"(hello|hi|happy|nice|dear|good|here)\b", " ".join(words)))
    if text.count(",") > 1 and not greeting and not told.intersection(words):
        return False
    short = verbs and len(words) <= 6 and "," not in text and is_finished(text)
    return (verbs or greeting or len(words) >= 5) and (share >= 0.2 or short)


def slips(text: str) -> int:
    """How often a text breaks what any sentence keeps to: "the of", "in is", "and.", "has cup", a word said twice."""
    if is_chinese(text):
        return len(re.findall(r"的[的了吗，]|了了|在[。！？]|是[。是！]|和[。、和！]|把[。把]", text))
    words = normal(text).split()
    bare = any(
        word in _countable() and not _DETERMINERS.intersection(words[max(0, place - 3) : place])
        for place, word in enumerate(words)
    )
    return bare + sum(_slip(left, right) for left, right in zip(words, words[1:], strict=False))


@cache
def _countable() -> frozenset[str]:
    """Nouns that English does not leave without an article or the like."""
    world = WORLDS["en"]
    return frozenset({*world.objects, *world.animals})


def _slip(left: str, right: str) -> bool:
    if left in _ARTICLES:
        return right in _NEVER_AFTER_AN_ARTICLE
    if left in _PREPOSITIONS:
        return right in _NEVER_AFTER_A_PREPOSITION
    if left in _CONJUNCTIONS:
        return right in _NEVER_AFTER_A_CONJUNCTION
    return left == right and left.isalpha() and left not in {"very", "had", "that"}


def repetition(text: str) -> int:
    """How often a text says again what it has said: sentences told twice, and runs of words told twice."""
    said = Counter(sentences(text))
    again = sum(count - 1 for count in said.values())
    words = units(text)
    size = 8 if is_chinese(text) else 5
    runs = Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))
    return max(again, sum(count - 1 for count in runs.values() if count > 1) // size)


def longest_copy(text: str, source: str) -> int:
    """The longest run of words (characters in Chinese) that a text took over from another."""
    words, other = units(text), units(source)
    best, row = 0, [0] * (len(other) + 1)
    for word in words:
        row = [0, *(row[j] + 1 if word == other[j] else 0 for j in range(len(other)))]
        best = max(best, *row)
    return best


def is_finished(text: str) -> bool:
    return text.rstrip()[-1:] in set(".!?。！？")
