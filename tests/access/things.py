"""In each of two projects one of every thing that an address can name.

A thing is known by what stands before it in the address, or by the address's name where that says too little.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import asdict, dataclass, field
from datetime import timedelta

from django.core.files.uploadedfile import SimpleUploadedFile

from annotation import appeals, managing, membership, reviewing, screening, uploads
from annotation.models import (
    ApiToken,
    Assignment,
    Demonstration,
    Generator,
    GeneratorKind,
    Item,
    ItemKind,
    Membership,
    Project,
    Purpose,
    Ranking,
    ReviewState,
    Role,
    Terms,
    User,
    WorkKind,
)
from config.addresses import Address
from tests.world import answer, make_prompt, make_ranking_item, rank, taken
from training import registry
from training.models import Dataset, ExternalModel, OutputRequest, Policy, RewardModel, Round, Stage, TrainingRun
from training.options import Options

PARAMETER = re.compile(r"(?:<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\))")
PLAIN = {
    "import/kind": "instructions", "review/kind": "ranking", "export/kind": "rankings", "export/form": "jsonl",
    "lineage/kind": "rankings",
}  # fmt: skip


@dataclass
class Things:
    """`holder` has the assignments and the token."""

    project: Project
    holder: User
    known: dict[str, object] = field(default_factory=dict)

    def named_by(self, address: Address) -> dict[str, object]:
        """What its parameters stand for in this project."""
        return {parameter: self.thing(address, parameter) for parameter in parameters(address)}

    def thing(self, address: Address, parameter: str) -> object:
        before = parameters(address)[parameter]
        for key in (f"{address.name}/{parameter}", f"{before}/{parameter}"):
            if key in self.known:
                return self.known[key]
        raise AssertionError(
            f"/{address.route} names something that nobody has made: say in tests/access/things.py what stands for "
            f"{parameter!r} after {before!r}."
        )


def parameters(address: Address) -> dict[str, str]:
    """The parameters of an address, each with the word before it; one that follows another has that one's."""
    found: dict[str, str] = {}
    word = ""
    for part in address.route.split("/"):
        if not PARAMETER.search(part):
            word = part
        found |= {plain or expression: word for plain, expression in PARAMETER.findall(part)}
    return found


def make_things(project: Project, holder: User, *, other: User, admin: User) -> Things:
    """`other` annotates too; nobody answers an appeal about their own work."""
    things = Things(project, holder, {"projects/slug": project.slug, **PLAIN})
    _people(things, admin)
    _work(things, other, admin)
    _learning(things, number=project.pk + 2)
    return things


def _people(things: Things, admin: User) -> None:
    project, known = things.project, things.known
    managing.publish(Terms, project, by=admin, text="Be kind.")
    known["members/username"] = things.holder.username
    known["members/pk"] = Membership.objects.get(project=project, user=things.holder, role=Role.ANNOTATOR).pk
    known["member-erase/pk"] = things.holder.pk
    invitation, known["join/secret"] = membership.invite(project, by=admin, name="Kim", roles=[Role.ANNOTATOR])
    known["invitations/pk"] = invitation.pk
    known["tokens/pk"] = ApiToken.issue(things.holder, name="laptop", lifetime=timedelta(days=1))[0].pk


def _work(things: Things, other: User, admin: User) -> None:
    """The holder has a piece in hand, has ranked one, and objects to the rejection of an answer."""
    project, holder, known = things.project, things.holder, things.known
    Project.objects.filter(pk=project.pk).update(demonstrations_per_prompt=1)
    project.refresh_from_db()
    for number in range(2):
        make_prompt(project, f"What is asked in {project.slug} ({number})?")
    own, theirs = (_rejected(project, person, reviewer=admin) for person in (holder, other))
    known["assignment-appeal/pk"], known["appeals/pk"] = own.pk, appeals.appeal(theirs, text="It is right.").pk
    Project.objects.filter(pk=project.pk).update(demonstrations_per_prompt=0)
    _screening(things, admin)
    make_ranking_item(project, prompt=make_prompt(project, f"Ranked in {project.slug}?"), overlap=1)
    ranked = taken(project, holder, ItemKind.RANKING)
    ranking = rank(ranked)
    for name in ("assignment-edit", "assignment-improve", "assignment-withdraw"):
        known[f"{name}/pk"] = ranked.pk
    _decide(project, admin, WorkKind.RANKING, ranking, ReviewState.ACCEPTED)
    known["lineage/number"] = ranking.pk
    known["review/batch"] = reviewing.recent_batches(project, admin, most=1)[0].id
    item = make_ranking_item(project, prompt=make_prompt(project, f"Held in {project.slug}?"), overlap=1)
    known["assignments/pk"] = taken(project, holder, ItemKind.RANKING).pk
    known["held/pk"] = item.completions[0]
    file = SimpleUploadedFile("more.jsonl", b'{"prompt": "Why?"}\n')
    known["import/pk"] = known["imports/pk"] = uploads.receive(project, "instructions", file, user=admin).pk


def _rejected(project: Project, annotator: User, *, reviewer: User) -> Assignment:
    piece = taken(project, annotator, ItemKind.DEMONSTRATION)
    _decide(project, reviewer, WorkKind.DEMONSTRATION, answer(piece), ReviewState.REJECTED)
    return piece


def _decide(
    project: Project, reviewer: User, kind: WorkKind, piece: Demonstration | Ranking, state: ReviewState
) -> None:
    reviewing.decide(project, reviewer=reviewer, kind=kind, pieces=[piece.pk], state=state, reason="As I see it.")


def _screening(things: Things, admin: User) -> None:
    project = things.project
    item = make_ranking_item(project, prompt=make_prompt(project, f"Measured in {project.slug}?"))
    screening.choose(project, [item.pk], purpose=Purpose.QUALIFICATION, by=admin)
    things.known["screening/pk"] = things.known["sets/pk"] = Item.objects.get(pk=item.pk).pk


def _learning(things: Things, *, number: int) -> None:
    """A round that failed, with a run, models and two datasets."""
    project, known = things.project, things.known
    file = {"rankings.jsonl": {"sha256": "ab" * 32, "rows": 2, "bytes": 9}}
    dataset, other = (
        Dataset.objects.create(project=project, files=file, counts={}, left_out={}, sha256="cd" * 32) for _ in range(2)
    )
    dataset.folder.mkdir(parents=True, exist_ok=True)
    row = {"id": known["lineage/number"], "prompt": "Why?", "completions": [{"text": "So.", "rank": 1, "model": "a"}]}
    (dataset.folder / "rankings.jsonl").write_text(json.dumps(row) + "\n")
    base = registry.register_policy(project, name=f"base-{uuid.uuid4().hex[:6]}", source="someone/starter")
    options = asdict(Options())
    round = Round.objects.create(
        project=project, number=number, base=base, state="failed", dataset=dataset, options=options
    )
    run = TrainingRun.objects.create(project=project, stage=Stage.SFT, base=base, round=round, state="failed")
    judge = RewardModel.objects.create(project=project, run=run, name="judge", parent=base, source="someone/judge")
    known["rounds/number"], known["rounds/pk"], known["runs/pk"] = round.number, round.pk, run.pk
    known["external-models/pk"], known["outputs/pk"] = _external(project)
    known["policies/pk"], known["reward-models/pk"] = Policy.objects.get(pk=base.pk).pk, judge.pk
    known["datasets/pk"], known["compare/other"] = dataset.pk, other.pk
    known["files/name"] = known["rows/name"] = "rankings.jsonl"


def _external(project: Project) -> tuple[int, int]:
    """A model behind an address, and a request to it."""
    generator = Generator.objects.create(project=project, name="elsewhere", kind=GeneratorKind.EXTERNAL)
    model = ExternalModel.objects.create(
        project=project, generator=generator, base_url="https://api.example.org/v1", model="tiny"
    )
    asked = OutputRequest.objects.create(project=project, k=2)
    asked.generators.set([generator])
    return model.pk, asked.pk
