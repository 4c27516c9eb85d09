"""A project with something of everything in it, and the addresses of the pages that show it.

A page whose address takes a project's slug alone, or nothing, needs no word here. For any other, and for what a page
shows only with a query, whoever builds the content says so: `shown.add("run", run.pk)`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from annotation import appeals, assignment, managing, membership, reviewing, screening, uploads
from annotation.models import (
    ApiToken,
    Assignment,
    Demonstration,
    Guidelines,
    Item,
    ItemKind,
    Membership,
    Project,
    Purpose,
    Ranking,
    ReviewState,
    Role,
    SkipReason,
    Terms,
    UploadState,
    WorkKind,
)
from tests.annotation.quality.scene import make_study
from tests.training.pages.scene import GATE_RESULT, Scene, build_scene, write_metrics
from tests.world import World, answer, make_person, make_prompt, make_ranking_item, rank, taken
from training import registry, tracing
from training.datasets import write_rows
from training.external import registering
from training.external.problems import Problem
from training.models import (
    Dataset,
    ExternalModel,
    GateDecision,
    OutputRequest,
    OutputState,
    Policy,
    Push,
    RequestState,
    RewardModel,
    Round,
    RoundStage,
    RoundState,
    Stage,
    WantedOutput,
    WantedSet,
)
from training.views.measures import MEASURES

LONG = (
    "Donaudampfschifffahrtsgesellschaft" * 4
    + "\n\n# A title\n\n| a | b |\n|---|---|\n| "
    + "wide " * 40
    + "| $x^2$ |\n\n- one\n- two\n\n```\n"
    + "code " * 60
    + "\n```"
)
LINES = [
    {"prompt": LONG, "chosen": LONG + "!", "rejected": "short", "language": "en"},
    {"messages": [{"role": "user", "content": "Hi"}], "response_j": "قصير", "response_k": "短い"},
    {"prompt": "x" * 9_000, "chosen": "a", "rejected": "b"},
    {"riddle": "W" * 200},
]


@dataclass
class Refused:
    """A form that `who` sends, from the page at `address`, with content that is refused there."""

    who: str
    address: str
    to: str
    sent: dict[str, str]


@dataclass
class Everything:
    people: World
    project: Project
    addresses: dict[str, list[str]] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)

    def add(self, name: str, *args: object, query: str = "") -> None:
        self.addresses.setdefault(name, []).append(reverse(name, args=args) + query)

    def refuse(self, who: str, name: str, /, *args: object, seen_at: str = "", **sent: str) -> None:
        """Have a form refused that goes to `name`, and is seen there or at the page named `seen_at`."""
        to = reverse(name, args=args)
        self.refused.append(Refused(who, reverse(seen_at, args=args) if seen_at else to, to, sent))

    def addresses_of(self, name: str, parameters: list[str]) -> list[str]:
        """Where to look at what bears a name of the address configuration; nowhere, if nobody has said so."""
        known = {"slug": self.project.slug}
        plain = [reverse(name, kwargs=known if parameters else None)] if set(parameters) <= set(known) else []
        return plain + self.addresses.get(name, [])


def build_everything() -> Everything:
    scene = build_scene()
    shown = Everything(scene.people, scene.project)
    type(scene.project).objects.update(instructions_wanted=900, demonstrations_per_prompt=1)
    scene.project.refresh_from_db()
    add_study(shown)
    add_work(shown)
    add_managing(shown)
    add_uploads(shown)
    add_account(shown)
    add_training(shown, scene)
    add_external(shown)
    add_screening(shown)
    add_refused(shown)
    return shown


def add_study(shown: Everything) -> None:
    """Rankings by three people over weeks, written work, decisions on some of both, and what is held back."""
    people, project = shown.people, shown.project
    make_study(people, names=("sft-of-tuesday", "ppo-round-2", "external-model"))
    make_prompt(project, LONG, author=people.alice)
    make_ranking_item(
        project, prompt=make_prompt(project, "Who are you?"), texts=("one", "two", "I am ChatGPT. Three.")
    )
    chosen = [ranking.pk for ranking in Ranking.objects.filter(annotator=people.bob)[:3]]
    for state, reason in ((ReviewState.ACCEPTED, ""), (ReviewState.REJECTED, "Straightlined. " * 20)):
        reviewing.decide(project, reviewer=people.ada, kind=WorkKind.RANKING, pieces=chosen, state=state, reason=reason)
    for kind in WorkKind:
        shown.add("review", project.slug, query=f"?kind={kind}")
    shown.add("review", project.slug, query="?kind=ranking&state=rejected&q=nothing")
    shown.add("quality", project.slug, query="?use_case=chat")


def add_work(shown: Everything) -> None:
    """Alice has pieces in each state of being done, then one of each kind in hand, with what makes its page differ."""
    people, project = shown.people, shown.project
    answered, rejected, appealed = (answered_anew(shown, f"{LONG} {number}?") for number in range(3))
    Demonstration.objects.filter(assignment__in=[rejected, appealed]).update(review=ReviewState.REJECTED)
    appeals.appeal(appealed, text=LONG)
    skipped = asked(shown, "Which field is mine?")
    assignment.skip(skipped, reason=SkipReason.NOT_MY_FIELD)
    late = asked(shown, "Why so late?")
    Assignment.objects.filter(pk=late.pk).update(state="expired")
    make_ranking_item(project, prompt=make_prompt(project, "Which?"), texts=(LONG, "short"), priority=9)
    ranked = taken(project, people.alice, ItemKind.RANKING)
    rank(ranked, [list(ranked.shown)])

    Membership.objects.update(sees_harmful=True)
    make_ranking_item(
        project, prompt=make_prompt(project, LONG), texts=(LONG, "短い", "قصير", "$$x^2$$", *"efghi"), priority=9
    )
    make_ranking_item(project, prompt=make_prompt(project, "Vile?", harmful=True), texts=("vile", "not"), priority=8)
    nine = taken(project, people.alice, ItemKind.RANKING)
    vile = assignment.take(project, people.alice, kinds=[ItemKind.RANKING], after=nine)
    assert vile is not None
    in_hand = [nine, vile, asked(shown, f"{LONG}!"), taken(project, people.alice, ItemKind.INSTRUCTION)]
    taken(project, people.bob, ItemKind.DEMONSTRATION)
    for piece in (*in_hand, answered, skipped, late):
        shown.add("assignment", piece.pk)
    for piece in (answered, ranked):
        shown.add("assignment-edit", piece.pk)
    shown.add("assignment-appeal", rejected.pk)
    shown.add("assignment-improve", ranked.pk)
    shown.add("work", project.slug, query="?nothing")


def add_screening(shown: Everything) -> None:
    """A set that measures people, one that is not answered yet, one to choose; somebody who left; rows taken back."""
    people, project = shown.people, shown.project
    items = [make_ranking_item(project, prompt=make_prompt(project, f"{LONG} {number}.")) for number in range(3)]
    screening.choose(project, [each.pk for each in items[:2]], purpose=Purpose.QUALIFICATION, by=people.ada)
    rank(screening.answer(Item.objects.get(pk=items[0].pk), people.ada))
    wanted = {"qualification_pieces": 2, "qualification_answers": 3, "gold_share": 5, "repeat_share": 5}
    managing.change(project, by=people.ada, settings=wanted)
    gone = make_person("somebody-with-a-rather-long-name-who-left", project, Role.ANNOTATOR)
    rank(taken(project, gone, ItemKind.RANKING))
    Membership.objects.filter(user=gone).delete()
    submitted = Assignment.objects.filter(annotator=people.alice, state="submitted", ranking__isnull=False)
    shown.add("assignment-withdraw", submitted.latest("pk").pk)
    shown.add("member-erase", project.slug, people.alice.pk)
    shown.add("member", project.slug, gone.username)
    at = timezone.now()
    erasures = [{"at": at.isoformat(), "rows": 3, "sha256": "0" * 64}]
    Dataset.objects.update(withdrawn_rows=2, withdrawn_at=at, erasures=erasures)


def add_refused(shown: Everything) -> None:
    """Forms that were left empty, say too much, or what can't be."""
    slug = shown.project.slug
    empty = "settings settings-guidelines settings-terms project-copy screening invitations import"
    for name in empty.split():
        shown.refuse("ada", name, slug)
    shown.refuse("ada", "projects", name="x" * 200, slug="Not a slug")
    shown.refuse("ada", "members", slug, username="nobody-" * 20, role="annotator")
    shown.refuse("ada", "member", slug, "alice", form="rate", amount="-1", per="hour", since="soon")
    shown.refuse("ada", "member-erase", slug, shown.people.alice.pk, username="bob")
    shown.refuse("rita", "review", slug, verb="reject", everything="yes", reason="")
    shown.refuse("alice", "tokens", name="", days="0")
    held = Assignment.objects.filter(annotator=shown.people.alice)
    for piece in held.filter(state="leased"):
        shown.refuse("alice", "assignment-submit", piece.pk, seen_at="assignment", note="x" * 5_000, acceptable="1")
    done = held.filter(state="submitted", appeal=None).order_by("pk")
    answered, ranked = (done.filter(item__kind=kind) for kind in (ItemKind.DEMONSTRATION, ItemKind.RANKING))
    for piece in (*answered.exclude(demonstration__review=ReviewState.REJECTED), ranked.first()):
        assert piece is not None
        shown.refuse("alice", "assignment-edit", piece.pk, text="")
    rejected = answered.get(demonstration__review=ReviewState.REJECTED)
    shown.refuse("alice", "assignment-appeal", rejected.pk, text="")
    improvable = ranked.first()
    assert improvable is not None
    shown.refuse("alice", "assignment-improve", improvable.pk, output="A", text="")


def asked(shown: Everything, text: str) -> Assignment:
    """Alice is to answer this instruction."""
    prompt = make_prompt(shown.project, text)
    prompt.items.update(priority=9)
    return taken(shown.project, shown.people.alice, ItemKind.DEMONSTRATION)


def answered_anew(shown: Everything, text: str) -> Assignment:
    piece = asked(shown, text)
    answer(piece, LONG)
    return piece


def add_managing(shown: Everything) -> None:
    """Links in each state, a token, pay, new guidelines and terms, another project that is archived."""
    people, project = shown.people, shown.project
    people.ada.user_permissions.add(Permission.objects.get(codename="add_project"))
    _open, secret = membership.invite(project, by=people.ada, name="Kim" * 15, roles=list(Role), max_uses=9)
    revoked, _secret = membership.invite(project, by=people.ada, name="Lee", roles=[Role.ANNOTATOR])
    membership.revoke(revoked, by=people.ada)
    membership.pay(project, people.alice, by=people.ada, amount=Decimal("21.5"), per="hour")
    alice = Membership.objects.get(project=project, user=people.alice)
    membership.limit(alice, by=people.ada, languages=["en"], daily_cap=200)
    for kind in (Guidelines, Terms):
        managing.publish(kind, project, by=people.ada, text=LONG)
    managing.archive(managing.copy(project, by=people.ada, name="Rivers", slug="rivers"), by=people.ada)
    for person in people.everyone().values():
        ApiToken.issue(person, name="laptop" * 8, lifetime=timedelta(days=9))
    shown.add("project", "rivers")
    shown.add("join", secret)
    shown.add("member", project.slug, "alice")
    shown.add("member", project.slug, "ada")
    for name in ("settings-guidelines", "settings-terms"):
        shown.add(name, project.slug, query="?version=1")


def add_uploads(shown: Everything) -> None:
    """A file in each of its states, with good lines and bad."""
    file = SimpleUploadedFile("w" * 80 + ".jsonl", "\n".join(map(json.dumps, LINES)).encode())
    checked = uploads.receive(shown.project, "rankings", file, user=shown.people.ada)
    shown.add("import-file", shown.project.slug, checked.pk)
    for state in (UploadState.RECEIVED, UploadState.CONFIRMED, UploadState.DONE, UploadState.FAILED):
        checked.pk, checked.state, checked.failure = None, state, "OSError: " + "x" * 200
        checked.save(force_insert=True)
        shown.add("import-file", shown.project.slug, checked.pk)


def add_account(shown: Everything) -> None:
    """Links from a mail that lead nowhere any more; the second factor that Rosa has."""
    TOTP.activate(shown.people.rosa, "JBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(shown.people.rosa)
    shown.add("account_confirm_email", "used-up")
    shown.add("account_reset_password_from_key", "1", "used-up")


def add_training(shown: Everything, scene: Scene) -> None:
    """A round in each of its states, with its runs, models and dataset."""
    published = scene.published_round()
    ppo = published.runs.get(stage=Stage.PPO)
    steps = [{"step": step, "objective/reward": step / 10, "objective/kl": step / 20} for step in range(1, 41)]
    write_metrics(ppo, steps)
    ppo.result = {"seconds": dict.fromkeys(("startup", "training", "saving", "total"), 8.5)}
    ppo.save(update_fields=["result"])
    failed = scene.round(state="failed", stage="sft", error="/a/very/long/path/" * 12)
    broken = scene.run(round=failed, state="failed", error="nothing_to_break_this_line_at" * 9)
    going = scene.round(stage=RoundStage.PPO)
    running = scene.run(Stage.PPO, round=going, state="running", step=40, total_steps=90, latest={"seconds": 3})
    write_metrics(running, steps)
    at_gates = [scene.round_at_its_gate(), rejected_at_its_gate(scene)]
    for round in (published, failed, going, *at_gates, waiting_to_be_published(shown), without_a_policy(shown)):
        shown.add("round", round.project.slug, round.number)
    for run in (ppo, broken, running):
        shown.add("run", run.pk)
    shown.add("curves", published.project.slug, query=f"?stage=ppo&run={ppo.pk}&run={running.pk}")
    assert published.policy is not None
    assert published.reward_model is not None
    assert published.dataset is not None
    evaluated(scene, Stage.SAMPLE, base=published.policy)
    evaluated(scene, Stage.SCORE, judge=published.reward_model)
    for state, error in (("waiting", ""), ("failed", "The hub refuses it: " + "unbroken" * 40), ("done", "")):
        about = {"repository": "lab/" + "x" * 90, "state": state, "error": error, "url": "https://hub.example/lab/x"}
        Push.objects.create(project=published.project, policy=published.policy, commit="ab" * 20, **about)
    shown.add("policy", published.policy.pk)
    shown.refuse("rosa", "policy-evaluate", published.policy.pk, seen_at="policy", prompts="0", temperature="hot")
    shown.add("policy", scene.base.pk)
    shown.refuse("rosa", "playground", published.project.slug, temperature="hot", asked_1="What?")
    shown.add("reward-model", published.reward_model.pk)
    shown.add("reward-model-bias", published.reward_model.pk)
    shown.refuse("rosa", "reward-model-evaluate", published.reward_model.pk, seen_at="reward-model", rankings="0")
    measures = "".join(f"&measure={name}" for name in ("kl", "evaluation/bleu", "evaluation/reward"))
    shown.add("models-compare", published.project.slug, query=f"?sort=-kl{measures}")
    shown.add("dataset", published.dataset.pk)
    shown.add("dataset-rows", published.dataset.pk, "rankings.jsonl")
    rankings = list(tracing.records(published.project, "rankings").order_by("pk")[:25])
    published.dataset.folder.mkdir(parents=True, exist_ok=True)
    write_rows(
        published.dataset.folder / "rankings.jsonl", [tracing.row_of(published.project, each) for each in rankings]
    )
    shown.add("lineage", published.project.slug, "rankings", rankings[0].pk)
    scene.dataset()
    shown.add("dataset-compare", published.dataset.pk)


def add_external(shown: Everything) -> None:
    """External models in each state, and requests for outputs that run, are done, and met with trouble."""
    people, project = shown.people, shown.project
    values = {"base_url": "https://api.example.org/v1", "model": "m" * 90, "temperature": 0.7}
    models = [
        registering.register(project, name=f"model-{number}-{'x' * 60}", key="sk-1", values=values, by=people.ada)
        for number in range(4)
    ]
    now, detail = timezone.now(), "no_break_in_these_words_of_theirs" * 9
    troubled = {"checked_at": now, "problem": Problem.FAILED, "detail": detail}
    ExternalModel.objects.filter(pk=models[1].pk).update(**troubled)
    ExternalModel.objects.filter(pk=models[2].pk).update(**troubled, stopped=True)
    for model in models:
        shown.add("external-model", model.pk)
    shown.refuse("ada", "external-model", models[0].pk, base_url="nonsense", temperature="hot")
    shown.refuse("ada", "external-models", project.slug, name="", base_url="ftp://x", key="two words")
    shown.refuse("rosa", "outputs", project.slug, k="99", prompts="0")
    asked = [make_prompt(project, f"{LONG} for models {number}.") for number in range(2)]
    generators = [model.generator for model in models[:3]]
    for state in (RequestState.RUNNING, RequestState.CANCELLED):
        request = OutputRequest.objects.create(project=project, k=3, state=state, created_by=people.rosa)
        request.generators.set(generators)
        for prompt in asked:
            wanted = WantedSet.objects.create(request=request, prompt=prompt)
            for generator, output in zip(generators, OutputState, strict=True):
                failed = {"problem": Problem.REFUSED, "detail": detail} if output == OutputState.FAILED else {}
                WantedOutput.objects.create(set=wanted, generator=generator, number=0, state=output, **failed)
        shown.add("output-request", request.pk)
    registering.remove(models[3], by=people.ada)


def rejected_at_its_gate(scene: Scene) -> Round:
    """By what people said, and by somebody who gave a long reason before."""
    round = scene.round_at_its_gate(state="rejected", outcome="not_passed", result=GATE_RESULT)
    GateDecision.objects.create(round=round, publish=False, reason=LONG, made_by=scene.people.rosa)
    return round


def evaluated(scene: Scene, stage: Stage, **of: Policy | RewardModel) -> None:
    """One evaluation of the model with its figures, one that failed after it, one on its way."""
    asked = {"evaluation": True, "queue": False, "prompts": []}
    cells = {name: {"value": 0.4321, "low": 0.3, "high": 0.5, "prompts": 40} for name in MEASURES}
    few = {name: {"value": 12.0, "low": None, "high": None, "prompts": 2} for name in MEASURES}
    groups = {
        "use_case": {"chat": cells, "open_qa": few},
        "language": {"en": cells, "zh": few},
        "kind": {"plain": cells},
        "gap": {"1": cells, "5": few},
    }
    odds = {"value": 1.4, "low": 1.1, "high": 1.9, "prompts": 42}
    owed = {"people": {"length": odds, "position": odds}, "model": {"length": odds, "bold": odds}}
    found = {"prompts": 42, "outputs": 84, "overall": cells, "groups": groups, "bias": owed}
    for state, result in (("succeeded", {"evaluation": found}), ("failed", {}), ("queued", {})):
        dataset = scene.project.datasets.first()
        scene.run(stage, dataset=dataset, state=state, inputs=asked, result=result, **of)


def waiting_to_be_published(shown: Everything) -> Round:
    """In a project of its own: a project runs one round at a time."""
    lakes = managing.create(by=shown.people.ada, slug="lakes", name="Lakes")
    membership.add(lakes, shown.people.rosa, Role.RESEARCHER, by=shown.people.ada)
    base = registry.register_policy(lakes, name="starter", source="someone/starter")
    return Scene(shown.people, lakes, base).round(stage=RoundStage.PUBLISH, options={"publish": "manual"})


def without_a_policy(shown: Everything) -> Round:
    """In a project where no round runs, so that its page has the form that starts one."""
    ponds = managing.create(by=shown.people.ada, slug="ponds", name="Ponds")
    membership.add(ponds, shown.people.rosa, Role.RESEARCHER, by=shown.people.ada)
    scene = Scene(shown.people, ponds, registry.register_policy(ponds, name="starter", source="someone/starter"))
    options = {"stages": ["reward_model"]}
    round = scene.round(stage=RoundStage.EVALUATE, state=RoundState.FINISHED, dataset=scene.dataset(), options=options)
    run = scene.run(Stage.REWARD_MODEL, round=round, dataset=round.dataset, state="succeeded")
    round.reward_model = RewardModel.objects.create(project=ponds, run=run, name="round-1-reward-model", path="x")
    round.save()
    shown.add("rounds", "ponds")
    shown.add("rounds", "ponds", query="?like=1")
    return round
