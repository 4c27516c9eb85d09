"""The message broker of an installation, to be taken away: the folder that is embedded, or a Redis by URL."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import redis

from tests.team_services import ServiceMissing, free_port


class Broker(Protocol):
    environment: dict[str, str]  # that names it

    def drop(self) -> int:
        """Lose every message that waits; how many there were."""

    def go_away(self, seconds: float) -> None:
        """Be gone for so long, and come back without what was in it."""

    def stop(self) -> None:
        """For good."""


class Folder:
    """The embedded one."""

    def __init__(self, data: Path) -> None:
        self.environment: dict[str, str] = {}
        self.messages = data / "broker" / "messages"

    def drop(self) -> int:
        dropped = 0
        for message in self.messages.iterdir():
            with suppress(FileNotFoundError):
                message.unlink()
                dropped += 1
        return dropped

    def go_away(self, seconds: float) -> None:
        aside = self.messages.with_name("aside")
        with suppress(FileNotFoundError):
            self.messages.rename(aside)
        time.sleep(seconds)
        self.messages.mkdir(exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)

    def stop(self) -> None:
        """It is no process."""


class Redis:
    """A server of our own that writes nothing down, killed by SIGKILL and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise ServiceMissing("redis-server is not installed; on Debian: apt-get install redis-server")
        password, port = secrets.token_urlsafe(16), free_port()
        config = folder / "redis.conf"
        config.write_text(f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\ndir {folder}\n')
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self.environment = {"CELERY_BROKER_URL": self.url}
        self._command = [program, str(config)]
        self._start()

    def _start(self) -> None:
        self._server = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while not self._answers():
            assert self._server.poll() is None, f"{self._command} has ended"
            time.sleep(0.05)

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client, suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    def drop(self) -> int:
        with redis.Redis.from_url(self.url) as client:
            waiting = sum(int(client.llen(queue)) for queue in ("default", "training"))
            client.flushall()
        return waiting

    def go_away(self, seconds: float) -> None:
        self.stop()
        time.sleep(seconds)
        self._start()

    def stop(self) -> None:
        self._server.kill()
        self._server.wait()
