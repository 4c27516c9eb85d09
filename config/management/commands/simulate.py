"""`manage.py simulate`: a whole study with simulated annotators, on this machine, from its first instruction."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from annotation.models import Ranking
from config.embedded import postgres
from config.embedded.interruption import Interruption
from config.embedded.stack import StartRefused, running
from training import bootstrap, registry
from training.bootstrap import BootstrapError
from training.simulation import figures
from training.simulation.client import ApiError
from training.simulation.measure import StudyFailed
from training.simulation.study import Plan, Study


class Command(BaseCommand):
    help = "Run the whole loop with simulated annotators, who work over HTTP; write its figures as JSON."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rounds", type=int, default=2)
        parser.add_argument("--annotators", type=int, default=6, help="people who rank; the authors are others")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--json", type=Path, dest="out", help="where to write the figures")
        parser.add_argument(
            "--shuffle-rankings", action="store_true", help="permute every ranking: nothing can be learnt"
        )
        parser.add_argument(
            "--plan", type=Path, help="a JSON file with other sizes (fields of training.simulation.study.Plan)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        plan = self._plan(options)
        started = time.monotonic()
        interruption = Interruption()
        try:
            with running(0, say=self.say, hurry=interruption.hurry) as stack:
                call_command("migrate", verbosity=0, interactive=False)
                call_command("collectstatic", verbosity=0, interactive=False)
                model = bootstrap.build_model(say=self.say)
                stack.serve()
                rounds = self._study(Study(plan, stack.address, self.say), model)
        except (ApiError, BootstrapError, StartRefused, StudyFailed, postgres.PostgresError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped before the study was over; nothing was written.") from None
        took = round(time.monotonic() - started, 1)
        report = {"seed": plan.seed, "plan": asdict(plan), "rounds": rounds, "wall_seconds": took}
        if options["out"]:
            options["out"].write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        self.say(f"in all: {took} s")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _plan(self, options: dict[str, Any]) -> Plan:
        chosen = {name: options[name] for name in ("rounds", "annotators", "seed", "shuffle_rankings")}
        sizes = json.loads(options["plan"].read_text()) if options["plan"] else {}
        if unknown := sizes.keys() - {field.name for field in fields(Plan)}:
            raise CommandError(f"{options['plan']} has {', '.join(sorted(unknown))}, which a plan does not have.")
        return Plan(**{**chosen, **sizes})

    def _study(self, study: Study, model: Path) -> list[dict[str, Any]]:
        study.prepare(registry.stored_path(model), texts=registry.stored_path(bootstrap.corpus_folder() / "mix.jsonl"))
        report = []
        for number in range(1, study.plan.rounds + 1):
            with study.stage("ranking"):
                study.rank()
            last_ranking = Ranking.objects.filter(prompt__project=study.project).latest("pk")
            more = number < study.plan.rounds
            with study.stage("round"):
                ended = study.train(outputs=study.plan.rankings_later if more else study.plan.rankings_at_last)
            entry = figures.of_round(study, ended, last_ranking=last_ranking)
            entry["seconds"] = {**study.seconds, **{f"round: {name}": took for name, took in ended.seconds.items()}}
            study.seconds.clear()
            report.append(entry)
            self._tell(entry)
        report[0]["seconds"]["pretrain"] = json.loads((model.parent / "result.json").read_text())["seconds"]["total"]
        return report

    def _tell(self, entry: dict[str, Any]) -> None:
        gold = ", ".join(f"{name} {found['mean']:.3f}" for name, found in entry["gold"].items())
        others = ", ".join(f"{name} {found['mean']:.3f}" for name, found in entry["gold_of_other_roads"].items())
        wins = entry["win_rate_ppo_over_sft"]
        self.say(
            f"round {entry['round']}: gold {gold}; {others}; reward accuracy {entry['reward_accuracy']:.3f} (gold "
            f"{entry['gold_accuracy']:.3f}), clear pairs {entry['reward_accuracy_clear']:.3f}; PPO wins "
            f"{wins['mean']:.3f} [{wins['low']:.3f}, {wins['high']:.3f}]; overhead {entry['overhead_seconds']:.1f} s"
        )
