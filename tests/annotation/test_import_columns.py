"""Columns as data sets on the Hugging Face hub name them."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.import_columns import as_ours

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
SHARED = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]
GOOD = {"role": "assistant", "content": "Good"}
HUMAN = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: And?\n\nAssistant: "


@pytest.mark.parametrize(
    ("kind", "row", "expected"),
    [
        ("instructions", {"prompt": "Hi"}, {"prompt": "Hi"}),
        ("instructions", {"question": "Why?"}, {"prompt": "Why?"}),
        ("instructions", {"instruction": "Sum up.", "input": "A text."}, {"prompt": "Sum up.\n\nA text."}),
        ("instructions", {"instruction": "Sum up.", "input": ""}, {"prompt": "Sum up."}),
        ("instructions", {"messages": CHAT}, {"prompt": CHAT[:1]}),
        ("instructions", {"conversations": SHARED}, {"prompt": CHAT[:1]}),
        (
            "instructions",
            {"system_prompt": "Be brief.", "question": "Why?"},
            {"prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]},
        ),
        ("demonstrations", {"instruction": "Add.", "output": "2"}, {"prompt": "Add.", "completion": "2"}),
        ("demonstrations", {"question": "Why?", "answer": "So."}, {"prompt": "Why?", "completion": "So."}),
        (
            "demonstrations",
            {"instruction": "Who?", "context": "Ann.", "response": "Ann"},
            {"prompt": "Who?\n\nAnn.", "completion": "Ann"},
        ),
        ("demonstrations", {"messages": CHAT}, {"prompt": CHAT[:1], "completion": "Hello."}),
        ("demonstrations", {"prompt": "Hi", "messages": CHAT}, {"prompt": CHAT[:1], "completion": "Hello."}),
        ("demonstrations", {"conversations": SHARED}, {"prompt": CHAT[:1], "completion": "Hello."}),
        ("demonstrations", {"prompt": "Hi", "completion": "Yes", "output": "no"}, {"completion": "Yes"}),
    ],
)
def test_are_understood(kind: str, row: dict[str, Any], expected: dict[str, Any]) -> None:
    found = as_ours(kind, row)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("row", "ranked"),
    [
        ({"prompt": "Hi", "chosen": "Good", "rejected": "Bad"}, [("Good", 1), ("Bad", 2)]),
        ({"chosen": [*CHAT[:1], GOOD], "rejected": CHAT}, [("Good", 1), ("Hello.", 2)]),
        ({"prompt": CHAT[:1], "chosen": CHAT[1:], "rejected": CHAT[1:]}, [("Hello.", 1), ("Hello.", 2)]),
        ({"chosen": f"{HUMAN}Good", "rejected": f"{HUMAN}Bad"}, [("Good", 1), ("Bad", 2)]),
        ({"question": "Hi", "response_j": "Good", "response_k": "Bad"}, [("Good", 1), ("Bad", 2)]),
        ({"prompt": "Hi", "response_0": "a", "response_1": "b", "better_response_id": 1}, [("a", 2), ("b", 1)]),
        ({"instruction": "Hi", "output_1": "Good", "output_2": "Bad", "preference": 1}, [("Good", 1), ("Bad", 2)]),
        (
            {"question": {"full_text": "Hi"}, "answer_0": "a", "answer_1": "b", "score_0": 0.5, "score_1": 0.5},
            [("a", 1), ("b", 1)],
        ),
        (
            {"prompt": "Hi", **{f"response_{n}": f"{n}" for n in range(11)}, **{f"score_{n}": n for n in range(11)}},
            [(f"{n}", 11 - n) for n in range(11)],
        ),
        ({"prompt": "Hi", "responses": ["a", "b"], "ranks": [2, 1]}, [("a", 2), ("b", 1)]),
        (
            {"prompt": "Hi", "completions": [{"response": "a", "rank": 1}, {"content": "b", "rank": 2}]},
            [("a", 1), ("b", 2)],
        ),
    ],
)  # fmt: skip
def test_of_rankings_are_understood(row: dict[str, Any], ranked: list[tuple[str, int]]) -> None:
    found = as_ours("rankings", row)
    assert [(each["text"], each["rank"]) for each in found["completions"]] == ranked
    assert found["prompt"] in ("Hi", CHAT[:1]) or found["prompt"][-1]["content"] == "And?"


def test_of_outputs_keep_the_model_and_need_no_rank() -> None:
    row = {"instruction": "Hi", "output_1": "a", "output_2": "b", "generator_1": "one", "generator_2": "two"}
    expected = [{"text": "a", "model": "one"}, {"text": "b", "model": "two"}]
    assert as_ours("completions", row)["completions"] == expected
    listed = {"prompt": "Hi", "completions": [{"model": "one", "response": "a"}, "b"]}
    found = as_ours("completions", listed)["completions"]
    assert [(each["text"], each.get("model")) for each in found] == [("a", "one"), ("b", None)]


@pytest.mark.parametrize("odd", [[], [1], ["x"], [[]], {}, 3, [{"role": 3}], [{"from": []}], [None]])
@pytest.mark.parametrize("name", ["prompt", "messages", "chosen", "rejected", "completions", "responses", "context"])
@pytest.mark.parametrize("kind", ["instructions", "demonstrations", "completions", "rankings"])
def test_whatever_they_hold_is_left_to_the_check(kind: str, name: str, odd: Any) -> None:
    as_ours(kind, {"chosen": "a", "rejected": "b", "instruction": "Hi", name: odd})
