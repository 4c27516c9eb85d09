"""A round: whatever is due next is done by `advance`, as often as it is called, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Max
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.audit import record
from annotation.models import Project, User
from annotation.wording import storable
from training import datasets, gates, plans, room, runs, stage_inputs
from training.alone import alone
from training.auditing import Action
from training.evaluation import round_figures
from training.hyperparameters import InputError
from training.messages import SWEEP_SECONDS, nudge
from training.models import (
    GATED,
    Gate,
    GateDecision,
    GateOutcome,
    Policy,
    RewardModel,
    Round,
    RoundStage,
    RoundState,
    RunState,
    Stage,
    TrainingRun,
)
from training.options import Options, RoundRefused, needs_reward_model
from training.readiness import needed, readiness

__all__ = ["Options", "RoundRefused"]

LOCKS = 1_886_745_954  # the class of our advisory locks, so that they meet nobody else's
UNDER_WAY = (RoundState.RUNNING, RoundState.GATE)
LONGEST_REASON = 4_000


def start(project: Project, *, user: User | None, options: Mapping[str, Any] | None = None) -> Round:
    """A new round, on its way. Refused while another runs in the project, and without what its stages need.

    One that is at its gate, or past it, is no reason to refuse another.
    """
    chosen = Options.parse(options or {})
    base = base_for(project, chosen)
    ready = readiness(project, chosen.stages, gate=chosen.publish == GATED)
    settled = plans.settings_of(project, chosen, base=base, counts=ready.counts)
    if missing := [*ready.missing, *filter(None, [room.of_round(base, settled).problem()])]:
        raise RoundRefused(" ".join(missing))
    chosen = replace(chosen, reward_model=_reward_model(project, chosen))
    try:
        with transaction.atomic():
            number = (project.rounds.aggregate(last=Max("number"))["last"] or 0) + 1
            new = Round.objects.create(
                project=project, number=number, base=base, options=asdict(chosen), created_by=user
            )
            record(Action.ROUND_STARTED, actor=user, project=project, round=number, base=base.pk)
            nudge("advance_round", new.pk)
    except IntegrityError:
        raise RoundRefused(_("A round of this project is running. Wait until it has ended, or cancel it.")) from None
    return new


def advance(round_id: int) -> None:
    """Do what is due, until something is left to others: a run to its worker, judgements and decisions to people."""
    with alone(LOCKS, round_id) as here:
        while here:
            now = Round.objects.select_related("project", "base", "dataset").get(id=round_id)
            if now.state not in UNDER_WAY or not _step(now):
                return


def publish(round: Round, *, user: User | None) -> None:
    """Let the round's policy answer prompts for the queue. `user` None: by the round's own option or its gate."""
    waiting = Round.objects.filter(id=round.pk, state=RoundState.RUNNING, stage=RoundStage.PUBLISH)
    with transaction.atomic():
        locked = waiting.select_for_update(of=("self",)).first()
        speaker = locked.speaker if locked is not None else None
        if locked is None or speaker is None:
            raise RoundRefused(_("Only a round that waits for its publication can be published."))
        now = timezone.now()
        Policy.objects.filter(id=speaker.pk, published_at=None).update(published_at=now)
        Round.objects.filter(id=round.pk).update(published_at=now, published_by=user)
        record(
            Action.POLICY_PUBLISHED,
            actor=user,
            project=round.project,
            round=round.number,
            policy=speaker.pk,
        )
        _move_on(locked)
        nudge("advance_round", round.pk)


def decide(round: Round, *, publish_it: bool, reason: str, user: User) -> None:
    """Publish a round's policy or not, whatever its gate says or would say. The reason is kept, and in the log."""
    reason = storable(reason).strip()
    if not reason:
        raise RoundRefused(_("Say why: the reason is kept with the round."))
    if len(reason) > LONGEST_REASON:
        raise RoundRefused(_("The reason is longer than {most} characters.").format(most=LONGEST_REASON))
    states = [RoundState.GATE, RoundState.REJECTED] if publish_it else [RoundState.GATE]
    with transaction.atomic():
        decidable = Round.objects.filter(id=round.pk, state__in=states, stage=RoundStage.GATE)
        locked = decidable.select_for_update(of=("self",)).select_related("project").first()
        if locked is None:
            raise RoundRefused(_("Only a round at its gate, or one that was not published, can be decided about."))
        GateDecision.objects.create(round=locked, publish=publish_it, reason=reason, made_by=user)
        details = {"round": locked.number, "publish": publish_it, "reason": reason}
        record(Action.GATE_DECIDED, actor=user, project=locked.project, **details)
        gates.close(locked.gate)
        _leave_gate(locked, passed=publish_it)
        if publish_it:
            publish(locked, user=user)


def cancel(round: Round, *, user: User | None = None) -> None:
    """End the round and whatever of it runs; what it made so far stays."""
    with transaction.atomic():
        running = Round.objects.filter(id=round.pk, state__in=UNDER_WAY)
        if not running.update(state=RoundState.CANCELLED, finished_at=timezone.now()):
            raise RoundRefused(_("This round has ended; there is nothing to cancel."))
        record(Action.ROUND_CANCELLED, actor=user, project=round.project, round=round.number)
        for run in TrainingRun.objects.active().filter(round=round):
            with suppress(runs.RunRefused):  # it ended just now
                runs.cancel(run)
        for gate in Gate.objects.filter(round=round, closed_at=None):
            gates.close(gate)


def retry(round: Round, *, user: User | None = None) -> None:
    """Go on with a round that failed or was cancelled, from the stage where it did; so does the stage's clock."""
    ended = Round.objects.filter(id=round.pk, state__in=[RoundState.FAILED, RoundState.CANCELLED])
    try:
        with transaction.atomic():
            since = Now() - (Coalesce("finished_at", Now()) - F("stage_since"))
            again = ended.update(state=RoundState.RUNNING, error="", finished_at=None, stage_since=since)
            if not again:
                raise RoundRefused(_("Only a round that failed or was cancelled can be tried again."))
            if round.runs.filter(state=RunState.RUNNING, cancel_requested=True).exists():
                raise RoundRefused(_("Its run is still ending. Try again in a moment."))
            record(Action.ROUND_RETRIED, actor=user, project=round.project, round=round.number)
            for run in round.runs.filter(state__in=[RunState.FAILED, RunState.CANCELLED]):
                runs.retry(run)
            nudge("advance_round", round.pk)
    except IntegrityError:
        raise RoundRefused(
            _("Another round of this project is running. Wait until it has ended, or cancel it.")
        ) from None


def sweep() -> None:
    """Remind of rounds where nothing runs: a message was lost, or the worker that had it died. And look at gates."""
    quiet = timezone.now() - timedelta(seconds=SWEEP_SECONDS)
    idle = Round.objects.filter(state=RoundState.RUNNING, stage_since__lt=quiet).exclude(
        runs__state__in=[RunState.QUEUED, RunState.RUNNING]
    )
    at_gates = Round.objects.filter(state=RoundState.GATE)
    for pk in (*idle.values_list("pk", flat=True), *at_gates.values_list("pk", flat=True)):
        nudge("advance_round", pk)


def _step(round: Round) -> bool:
    """One step; whether another may be due at once."""
    match round.stage:
        case RoundStage.FREEZE:
            return _freeze(round)
        case RoundStage.GATE:
            return _judge(round) if round.state == RoundState.GATE else _approach_gate(round)
        case RoundStage.PUBLISH:
            return _publish_if_automatic(round)
        case stage:
            run = round.runs.filter(stage=stage).first()
            return _start_run(round, Stage(stage)) if run is None else _after_run(round, run)


def _freeze(round: Round) -> bool:
    try:
        dataset = datasets.freeze(
            round.project, user=round.created_by, filters=round.options["filters"], needed=needed(round.stages),
            prompts_per_author=round.options.get("prompts_per_author"),
        )  # fmt: skip
    except (datasets.DatasetError, OSError) as error:
        return _fail(round, str(error))
    if not _move_on(round, dataset=dataset):
        datasets.discard(dataset)
        return False
    return True


def _start_run(round: Round, stage: Stage) -> bool:
    """Queue the stage's run. Two at once: the constraint lets one through. None for a round that was just cancelled."""
    here = Round.objects.filter(id=round.pk, state=RoundState.RUNNING, stage=round.stage)
    try:
        with transaction.atomic():
            request = stage_inputs.of(round, stage)
            if request is None:
                return _move_on(round)
            if here.select_for_update(of=("self",)).first() is None:
                return False
            preset = round.options["preset"]
            runs.create(round.project, stage=stage, user=round.created_by, round=round, preset=preset, **request)
    except IntegrityError:
        return False
    except InputError as error:
        return _fail(round, str(error))
    return False


def _after_run(round: Round, run: TrainingRun) -> bool:
    match run.state:
        case RunState.SUCCEEDED:
            return _move_on(round, work=worked(run), **_products(round, run))
        case RunState.FAILED:
            return _fail(round, f"{run}: {run.error}")
        case RunState.CANCELLED:
            Round.objects.filter(id=round.pk, state=RoundState.RUNNING).update(
                state=RoundState.CANCELLED, finished_at=timezone.now()
            )
    return False


def _products(round: Round, run: TrainingRun) -> dict[str, Any]:
    match run.stage:
        case Stage.REWARD_MODEL:
            return {"reward_model": RewardModel.objects.get(run=run)}
        case Stage.SFT | Stage.PPO | Stage.DPO if not _learns_on(round, run.stage):
            return {"policy": Policy.objects.get(run=run)}
        case Stage.EVALUATE:
            figures = round_figures.of_run(run)
            Policy.objects.filter(made_by_round=round).update(figures=figures)
            RewardModel.objects.filter(made_by_round=round).update(figures=figures)
            return {"figures": figures}
    return {}


def _approach_gate(round: Round) -> bool:
    """Have both policies speak; then people may judge."""
    run = round.runs.filter(stage=Stage.GATE).first()
    if run is None:
        return _start_run(round, Stage.GATE)
    if run.state != RunState.SUCCEEDED:
        return _after_run(round, run)
    here = Round.objects.filter(id=round.pk, state=RoundState.RUNNING, stage=RoundStage.GATE)
    try:
        with transaction.atomic():
            arrived = here.update(state=RoundState.GATE, gated_at=timezone.now())
            if arrived:
                gates.open_for(round, run)
    except OSError as error:
        return _fail(round, str(error))
    return bool(arrived)


def _judge(round: Round) -> bool:
    """Once all judgements are in, what they say decides. Who decides or cancels meanwhile waits until it has looked."""
    with transaction.atomic():
        locked = Round.objects.select_for_update(of=("self",)).filter(id=round.pk, state=RoundState.GATE).first()
        if locked is None or not gates.is_through(round.gate):
            return False
        outcome = gates.conclude(round.gate)
        gates.close(round.gate)
        record(Action.GATE_ENDED, actor=None, project=round.project, round=round.number, outcome=str(outcome))
        return _leave_gate(locked, passed=outcome == GateOutcome.PASSED)


def _leave_gate(round: Round, *, passed: bool) -> bool:
    """On to publication, or to an end; the caller holds the row's lock."""
    now = timezone.now()
    on = {"state": RoundState.RUNNING, "finished_at": None, "error": ""}
    end = {"state": RoundState.REJECTED, "finished_at": now}
    Round.objects.filter(id=round.pk).update(**(on if passed else end))
    return passed and _move_on(round)


def _publish_if_automatic(round: Round) -> bool:
    if round.options["publish"] in ("auto", GATED):
        publish(round, user=None)
        return True
    return False


def _move_on(round: Round, *, work: float = 0.0, **changes: Any) -> bool:
    """To the next stage, noting how long this one took; False where somebody was first or the round was cancelled."""
    now = timezone.now()
    wall = (now - round.stage_since).total_seconds()
    seconds = {**round.seconds, round.stage: round_seconds(wall)}
    if round.stage not in (RoundStage.GATE, RoundStage.PUBLISH):  # people may take their time over it
        seconds["overhead"] = round_seconds(seconds.get("overhead", 0.0) + wall - work)
    following = round.after(round.stage)
    changes |= {"seconds": seconds, "stage_since": now}
    if following is not None:
        changes["stage"] = following
    else:
        ended = RoundState.PUBLISHED if RoundStage.PUBLISH in round.stages else RoundState.FINISHED
        changes |= {"state": ended, "finished_at": now}
    here = Round.objects.filter(id=round.pk, state=RoundState.RUNNING, stage=round.stage)
    return here.update(**changes) == 1 and following is not None


def worked(run: TrainingRun) -> float:
    """The seconds that a run spent on training or generation itself, without starting, loading and saving."""
    seconds: dict[str, float] = run.result.get("seconds", {})
    return sum(value for part, value in seconds.items() if part not in ("total", "startup", "loading", "saving"))


def round_seconds(value: float) -> float:
    return float(f"{value:.3f}")


def _fail(round: Round, reason: str) -> bool:
    Round.objects.filter(id=round.pk, state=RoundState.RUNNING, stage=round.stage).update(
        state=RoundState.FAILED, error=reason, finished_at=timezone.now()
    )
    return False


def _learns_on(round: Round, stage: str) -> bool:
    """Whether a later stage goes on with the policy that this one made."""
    return stage == Stage.SFT and bool({RoundStage.PPO, RoundStage.DPO} & set(round.stages))


def usual_base(project: Project) -> Policy | None:
    """What a round starts from where nothing is chosen: the base that was last fine-tuned, else the first brought."""
    earlier = Round.objects.filter(project=project).order_by("-number").select_related("base")
    tuned = next((round.base for round in earlier if RoundStage.SFT in round.stages), None)
    return tuned or Policy.objects.filter(project=project).brought().order_by("id").first()


def base_for(project: Project, options: Options) -> Policy:
    """The policy asked for, else the usual one; RoundRefused where there is none."""
    chosen = options.base
    base = usual_base(project) if chosen is None else Policy.objects.filter(project=project, id=chosen).first()
    if base is None and chosen is not None:
        raise RoundRefused(_("This project has no policy {number}.").format(number=chosen))
    if base is None:
        raise RoundRefused(_("There is no model to start from. Import one first: a folder, or a name on the hub."))
    return base


def _reward_model(project: Project, options: Options) -> int | None:
    """The one asked for, else the newest, where the round needs one that it does not train."""
    if not needs_reward_model(options.stages):
        return None
    known = RewardModel.objects.filter(project=project).order_by("-id")
    found = known.first() if options.reward_model is None else known.filter(id=options.reward_model).first()
    if found is None:
        raise RoundRefused(_("This project has no reward model {number}.").format(number=options.reward_model))
    return found.pk
