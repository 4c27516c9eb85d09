"""A round: whatever is due next is done by `advance`, as often as it is called, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.audit import record
from annotation.models import Project, User
from training import datasets, generation, runs
from training.auditing import Action
from training.hyperparameters import AUTO, PRESETS, InputError, checked
from training.messages import SWEEP_SECONDS, nudge
from training.models import Policy, RewardModel, Round, RoundStage, RoundState, RunState, Stage, TrainingRun

TRAINED = (Stage.SFT, Stage.REWARD_MODEL, Stage.PPO, Stage.EVALUATE, Stage.SAMPLE)
LOCKS = 1_886_745_954  # the class of our advisory locks, so that they meet nobody else's


class RoundRefused(Exception):
    """A round can't be started, or not be changed as asked; the message is shown to the person."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person may choose for a round. `hyperparameters` holds values by stage, over those of the preset."""

    base: int | None = None
    preset: str = AUTO
    hyperparameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    filters: Mapping[str, list[str]] = field(default_factory=dict)
    prompts_per_author: int | None = None
    publish: str = "auto"
    prompts: int = 64
    evaluation_prompts: int = 256
    seed: int = 0

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Options:
        """Checked options; RoundRefused names every problem at once."""
        known = {option.name: option.default for option in fields(cls)}
        problems = [_("There is no option {name}.").format(name=name) for name in given if name not in known]
        for name in ("prompts", "evaluation_prompts", "seed"):
            if name in given and (not isinstance(given[name], int) or isinstance(given[name], bool) or given[name] < 0):
                problems.append(
                    _("{name} is {value!r}; a whole number from 0 is expected.").format(name=name, value=given[name])
                )
        cap = given.get("prompts_per_author")
        if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
            problems.append(_("prompts_per_author is {value!r}; a whole number from 1 is expected.").format(value=cap))
        if problems:
            raise RoundRefused(" ".join(problems))
        options = cls(**given)
        if options.publish not in ("auto", "manual"):
            problems.append(_("publish is {value!r}; auto or manual is expected.").format(value=options.publish))
        if options.preset not in (AUTO, *PRESETS):
            expected = ", ".join((AUTO, *PRESETS))
            problems.append(
                _("preset is {value!r}; one of {names} is expected.").format(value=options.preset, names=expected)
            )
        problems += [] if problems else _setting_problems(options)
        if problems:
            raise RoundRefused(" ".join(problems))
        return options


def start(project: Project, *, user: User | None, options: Mapping[str, Any] | None = None) -> Round:
    """A new round, on its way. Refused while another runs in the project, and without a model to start from."""
    chosen = Options.parse(options or {})
    base = _base(project, chosen.base)
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
    """Do what is due, until something is left to others: a run to its worker, the publication to a person."""
    with _alone(round_id) as alone:
        while alone:
            now = Round.objects.select_related("project", "base", "dataset").get(id=round_id)
            if now.state != RoundState.RUNNING or not _step(now):
                return


def publish(round: Round, *, user: User | None) -> None:
    """Let the round's policy answer prompts for the queue. `user` None: published by the round's own option."""
    waiting = Round.objects.filter(id=round.pk, state=RoundState.RUNNING, stage=RoundStage.PUBLISH).exclude(policy=None)
    with transaction.atomic():
        locked = waiting.select_for_update(of=("self",)).first()
        if locked is None:
            raise RoundRefused(_("Only a round that waits for its publication can be published."))
        now = timezone.now()
        Policy.objects.filter(made_by_round=locked, published_at=None).update(published_at=now)
        Round.objects.filter(id=round.pk).update(published_at=now, published_by=user)
        record(
            Action.POLICY_PUBLISHED,
            actor=user,
            project=round.project,
            round=round.number,
            policy=locked.policy_id,
        )
        _move_on(locked)
        nudge("advance_round", round.pk)


def cancel(round: Round, *, user: User | None = None) -> None:
    """End the round and whatever of it runs; what it made so far stays."""
    with transaction.atomic():
        running = Round.objects.filter(id=round.pk, state=RoundState.RUNNING)
        if not running.update(state=RoundState.CANCELLED, finished_at=timezone.now()):
            raise RoundRefused(_("This round has ended; there is nothing to cancel."))
        record(Action.ROUND_CANCELLED, actor=user, project=round.project, round=round.number)
        for run in TrainingRun.objects.active().filter(round=round):
            with suppress(runs.RunRefused):  # it ended just now
                runs.cancel(run)


def retry(round: Round, *, user: User | None = None) -> None:
    """Go on with a round that failed or was cancelled, from the stage where it did."""
    ended = Round.objects.filter(id=round.pk, state__in=[RoundState.FAILED, RoundState.CANCELLED])
    try:
        with transaction.atomic():
            again = ended.update(state=RoundState.RUNNING, error="", finished_at=None, stage_since=timezone.now())
            if not again:
                raise RoundRefused(_("Only a round that failed or was cancelled can be tried again."))
            record(Action.ROUND_RETRIED, actor=user, project=round.project, round=round.number)
            for run in round.runs.filter(state__in=[RunState.FAILED, RunState.CANCELLED]):
                runs.retry(run)
            nudge("advance_round", round.pk)
    except IntegrityError:
        raise RoundRefused(
            _("Another round of this project is running. Wait until it has ended, or cancel it.")
        ) from None


def sweep() -> None:
    """Remind of rounds where nothing runs: a message was lost, or the worker that had it died."""
    quiet = timezone.now() - timedelta(seconds=SWEEP_SECONDS)
    idle = Round.objects.filter(state=RoundState.RUNNING, stage_since__lt=quiet).exclude(
        runs__state__in=[RunState.QUEUED, RunState.RUNNING]
    )
    for pk in idle.values_list("pk", flat=True):
        nudge("advance_round", pk)


def _step(round: Round) -> bool:
    """One step; whether another may be due at once."""
    match round.stage:
        case RoundStage.FREEZE:
            return _freeze(round)
        case RoundStage.PUBLISH:
            return _publish_if_automatic(round)
        case stage:
            run = round.runs.filter(stage=stage).first()
            return _start_run(round, Stage(stage)) if run is None else _after_run(round, run)


def _freeze(round: Round) -> bool:
    try:
        dataset = datasets.freeze(
            round.project, user=round.created_by, filters=round.options["filters"],
            prompts_per_author=round.options.get("prompts_per_author"),
        )  # fmt: skip
    except (datasets.DatasetError, OSError) as error:
        return _fail(round, str(error))
    if not _move_on(round, dataset=dataset):
        datasets.discard(dataset)
        return False
    return True


def _start_run(round: Round, stage: Stage) -> bool:
    """Queue the stage's run. Two at once: the constraint lets one through."""
    try:
        with transaction.atomic():
            request = _request(round, stage)
            if request is None:
                return _move_on(round)
            preset = round.options["preset"]
            values = {"seed": round.options["seed"], **request.pop("values", {}), **_chosen(round.options, stage)}
            runs.create(
                round.project, stage=stage, user=round.created_by, round=round, preset=preset, values=values, **request
            )
    except IntegrityError:
        return False
    except InputError as error:
        return _fail(round, str(error))
    return False


def _request(round: Round, stage: Stage) -> dict[str, Any] | None:
    """What the stage's run works on; None where there is nothing for it to do."""
    sft, reward = _policy_of(round, Stage.SFT), RewardModel.objects.filter(run__round=round).first()
    match stage:
        case Stage.SFT:
            return {"dataset": round.dataset, "base": round.base}
        case Stage.REWARD_MODEL:
            return {"dataset": round.dataset, "base": sft}
        case Stage.PPO:
            return {"dataset": round.dataset, "base": sft, "reference": sft, "judge": reward}
        case Stage.EVALUATE:
            prompts: Sequence[Any] = datasets.sample_rows(
                round.dataset, "prompts_held_out", count=round.options["evaluation_prompts"]
            )
            if not prompts and not (round.dataset and round.dataset.counts.get("rankings_held_out")):
                return None
            policy = _policy_of(round, Stage.PPO)
            inputs = {"prompts": prompts}
            return {"dataset": round.dataset, "base": policy, "reference": sft, "judge": reward, "inputs": inputs}
        case Stage.SAMPLE:
            seed, count = round.options["seed"] + round.number, round.options["prompts"]
            prompts = generation.choose_prompts(round.project, count=count, seed=seed)
            values = generation.sampling(round.project) | {"seed": seed}
            return {
                "base": _policy_of(round, Stage.PPO),
                "reference": Policy.objects.exclude(made_by_round=round).current(round.project) or sft,
                "judge": reward,
                "inputs": {"prompts": prompts},
                "values": values,
            }
    raise ValueError(f"A round has no run of the stage {stage}.")


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
        case Stage.PPO:
            return {"policy": Policy.objects.get(run=run)}
        case Stage.EVALUATE:
            figures = {name: value for name, value in run.result.items() if name != "seconds"}
            Policy.objects.filter(made_by_round=round).update(figures=figures)
            RewardModel.objects.filter(made_by_round=round).update(figures=figures)
            return {"figures": figures}
    return {}


def _publish_if_automatic(round: Round) -> bool:
    if round.options["publish"] == "auto":
        publish(round, user=None)
        return True
    return False


def _move_on(round: Round, *, work: float = 0.0, **changes: Any) -> bool:
    """To the next stage, noting how long this one took; False where somebody was first or the round was cancelled."""
    now = timezone.now()
    wall = (now - round.stage_since).total_seconds()
    seconds = {**round.seconds, round.stage: round_seconds(wall)}
    if round.stage != RoundStage.PUBLISH:  # a person may take their time over it
        seconds["overhead"] = round_seconds(seconds.get("overhead", 0.0) + wall - work)
    following = RoundStage(round.stage).next
    changes |= {"seconds": seconds, "stage_since": now}
    if following is not None:
        changes["stage"] = following
    else:
        changes |= {"state": RoundState.PUBLISHED, "finished_at": now}
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


def _policy_of(round: Round, stage: Stage) -> Policy | None:
    return Policy.objects.filter(run__round=round, run__stage=stage).first()


def _chosen(options: Mapping[str, Any], stage: Stage) -> dict[str, Any]:
    return dict(options["hyperparameters"].get(stage, {}))


def _base(project: Project, chosen: int | None) -> Policy:
    """The policy asked for, else the one the last round started from, else the first that was brought here."""
    brought = Policy.objects.filter(project=project)
    if chosen is not None:
        base = brought.filter(id=chosen).first()
        if base is None:
            raise RoundRefused(_("This project has no policy {number}.").format(number=chosen))
        return base
    last = Round.objects.filter(project=project).order_by("-number").select_related("base").first()
    base = last.base if last is not None else brought.brought().order_by("id").first()
    if base is None:
        raise RoundRefused(_("There is no model to start from. Import one first: a folder, or a name on the hub."))
    return base


def _setting_problems(options: Options) -> list[str]:
    """What is wrong with each setting by itself; their fit together and to the data is seen when a stage starts."""
    problems = []
    for stage, values in options.hyperparameters.items():
        if stage not in TRAINED:
            problems.append(_("A round has no stage {name}.").format(name=stage))
            continue
        problems += [f"{stage}: {problem}" for problem in checked(stage, values)[1]]
    return problems


@contextmanager
def _alone(round_id: int) -> Iterator[bool]:
    """Whether this worker alone advances the round now. The database drops the lock with the connection."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s, %s)", [LOCKS, round_id])
        (got,) = cursor.fetchone()
    try:
        yield got
    finally:
        if got:
            with connection.cursor() as cursor:
                cursor.execute("select pg_advisory_unlock(%s, %s)", [LOCKS, round_id])
