"""What the figures of an evaluation mean, and how they are laid out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import PromptKind, UseCase
from annotation.templatetags.plumbline import language_name
from training.evaluation import table
from training.evaluation.reward_models import FURTHEST
from training.models import RunState, TrainingRun
from training.views import meanings
from training.views.meanings import POINTS, SHARE, TOKENS, Meaning

HUNDRED = _("from 0 to 100")

MEASURES: dict[str, Meaning] = {
    "bleu": Meaning(
        "BLEU", HUNDRED, _("How many runs of one to four words it shares with people's answers (sacrebleu).")
    ),
    "chrf": Meaning(
        "chrF", HUNDRED, _("The same for runs of one to six characters: kinder to other endings of a word.")
    ),
    "rouge_l": Meaning(
        "ROUGE-L", SHARE, _("How long a chain of words, in their order, it shares with the nearest answer.")
    ),
    "distinct_1": Meaning(
        _("Distinct words"), SHARE, _("Of the words in a prompt's outputs, those that differ. Low: it repeats itself.")
    ),
    "distinct_2": Meaning(_("Distinct pairs of words"), SHARE, _("The same for two words in a row.")),
    "length": Meaning(_("Length of the outputs"), TOKENS, _("On average.")),
    "finished": Meaning(
        _("Outputs that end by themselves"), SHARE, _("The rest were cut off at the longest length allowed.")
    ),
    "reward": Meaning(
        _("Reward of the outputs"),
        POINTS,
        _("By the reward model chosen. Scores of two reward models can't be compared."),
    ),
    "accuracy": meanings.MEANINGS["pair_accuracy"],
    "longer_wins": meanings.MEANINGS["longer_wins"],
    "agreement": meanings.MEANINGS["annotator_agreement"],
}
GROUPS = {  # over a table of each, and over its first column
    "use_case": (_("By use case"), _("Use case")),
    "language": (_("By language"), _("Language")),
    "kind": (_("By kind of prompt"), _("Kind of prompt")),
    "gap": (_("By distance of ranks"), _("Ranks apart")),
}


@dataclass(frozen=True)
class Measured:
    """A run's figures: `overall` and each row of `groups` hold a cell for each of `measures`, None where none is."""

    run: TrainingRun
    prompts: int
    outputs: int
    shots: int
    measures: list[tuple[str, Meaning]]
    overall: list[tuple[Meaning, Any]]
    groups: list[tuple[Any, Any, list[tuple[str, int, list[Any]]]]]


def shown(run: TrainingRun) -> Measured:
    found = run.result["evaluation"]
    measures = [(name, meaning) for name, meaning in MEASURES.items() if name in found["overall"]]
    groups = [(*heads, _rows(group, found["groups"].get(group, {}), measures)) for group, heads in GROUPS.items()]
    return Measured(
        run=run,
        prompts=found["prompts"],
        outputs=found["outputs"],
        shots=run.inputs.get("shots", 0),
        measures=measures,
        overall=[(meaning, found["overall"][name]) for name, meaning in measures],
        groups=[group for group in groups if len(group[-1]) > 1],
    )


def meaning(name: str) -> Meaning:
    """Of a figure of the table of models, which may be an evaluation's, with or without examples."""
    if name == table.SHOTS:
        return Meaning(_("Examples before each prompt"), "", _("People's answers to training prompts, few-shot."))
    if name.startswith(table.FEW_SHOT):
        plain = meaning(table.EVALUATED + name.removeprefix(table.FEW_SHOT))
        return replace(plain, label=gettext("%(figure)s, few-shot") % {"figure": plain.label})
    if name.startswith(table.EVALUATED):
        return MEASURES.get(name.removeprefix(table.EVALUATED)) or meanings.meaning(name)
    return meanings.meaning(name)


def in_order(names: Iterable[str]) -> list[str]:
    """Figures as they are looked at: what people's work says first."""
    evaluated = [prefix + name for prefix in (table.EVALUATED, table.FEW_SHOT) for name in MEASURES]
    known = [*meanings.OF_GATES, *evaluated, table.SHOTS, *meanings.MEANINGS]
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))


def name_of(group: str, value: str) -> str:
    """What a group is called: a use case, language, kind of prompt or distance of ranks."""
    if group == "gap":
        return gettext("%(ranks)s or more") % {"ranks": value} if value == str(FURTHEST) else value
    if group == "language":
        return language_name(value)
    labels = {"use_case": UseCase, "kind": PromptKind}
    return str(capfirst(dict(labels[group].choices).get(value, value)))


def unfinished(runs: Any) -> list[TrainingRun]:
    """The model's evaluations that have no figures yet, or failed since the last that has."""
    waiting = []
    for run in runs.filter(inputs__has_key="evaluation").exclude(state=RunState.CANCELLED).order_by("-pk"):
        if "overall" in run.result.get("evaluation", {}):
            break
        waiting.append(run)
    return waiting


def _rows(group: str, found: dict[str, Any], measures: list[tuple[str, Meaning]]) -> list[tuple[str, int, list[Any]]]:
    """By the groups' names, each with its prompts and a cell a measure."""
    rows = [
        (
            name_of(group, value),
            max(cell["prompts"] for cell in cells.values()),
            [cells.get(name) for name, _meaning in measures],
        )
        for value, cells in found.items()
    ]
    return sorted(rows, key=lambda row: row[0])


EFFECTS: dict[str, tuple[Any, Any]] = {
    "length": (_("Twice as long"), _("The odds for an output of twice as many characters.")),
    "headings": (_("Headings"), _("The odds for one with headings against one without.")),
    "lists": (_("Lists"), _("The odds for one with lists against one without.")),
    "bold": (_("Bold text"), _("The odds for one with bold text against one without.")),
    "position": (_("One place earlier"), _("The odds for one shown a place earlier. Models see no places.")),
}


def effects(run: TrainingRun) -> list[tuple[Any, Any, Any, Any]]:
    """What it is, what its odds mean, people's and the model's: where neither has any it is left out."""
    found = run.result["evaluation"].get("bias", {})
    people, model = found.get("people", {}), found.get("model", {})
    return [
        (label, about, people.get(name), model.get(name))
        for name, (label, about) in EFFECTS.items()
        if name in people or name in model
    ]
