"""`manage.py up`: the whole installation on this machine, from an empty folder to one address, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError

from config.embedded import launch, postgres
from config.embedded.interruption import Interruption
from config.embedded.stack import Stack, StartRefused, running
from config.env import env_int

PAUSE = 3


class Command(BaseCommand):
    help = "Start everything on this machine: database, broker, web server, workers. Ctrl-C stops it all."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=env_int("PORT", 8000), help="0 takes any free port")
        parser.add_argument("--no-demo", action="store_true", help="leave out the starter model and the demo project")
        parser.add_argument("--with", type=int, dest="parent", default=0, help="stop when this process is gone")

    def handle(self, *args: Any, **options: Any) -> None:
        interruption = Interruption()
        if options["parent"]:
            launch.die_with(options["parent"])
        try:
            with running(options["port"], say=self.say, hurry=interruption.hurry) as stack:
                self._prepare(stack, demo=settings.EMBEDDED and not options["no_demo"])
                self.say("Starting the web server and the workers")
                stack.serve()
                self._welcome(stack)
                self._watch(stack)
        except KeyboardInterrupt:
            self.say("Everything is stopped.")
        except (StartRefused, postgres.PostgresError) as error:
            raise CommandError(str(error)) from error

    def say(self, line: str) -> None:
        with suppress(OSError):  # what we write to may be full, and what we keep running is worth more than the line
            self.stdout.write(line)
            self.stdout.flush()

    def _prepare(self, stack: Stack, *, demo: bool) -> None:
        self.say("Preparing the database and the pages")
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
        done = settings.DATA / "run" / "demo_is_built"
        if demo and not done.exists() and "demo" in get_commands():
            status = stack.processes.run_to_end("demo", [sys.executable, "manage.py", "demo"])
            if status != 0:
                raise CommandError(f"The demo project could not be built (exit status {status}); see above.")
            done.touch()

    def _welcome(self, stack: Stack) -> None:
        lines = ["", f"Plumbline answers at {stack.address}", ""]
        sign_ins: Path = settings.DATA / "run" / "sign_ins.txt"
        if sign_ins.exists():
            lines += [sign_ins.read_text().rstrip(), "", f"(also in {sign_ins})"]
        self.say("\n".join([*lines, "Ctrl-C stops everything.", ""]))

    def _watch(self, stack: Stack) -> None:
        for second in range(sys.maxsize):
            time.sleep(1)
            try:
                stack.mend()
                if second % 60 == 0:
                    stack.processes.rotate_logs()
            except (OSError, postgres.PostgresError) as error:  # a full disk, say, which has room again some day
                self.say(f"{error}\nTrying again in {PAUSE} s.")
                time.sleep(PAUSE)
