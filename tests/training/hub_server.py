"""A hub on loopback: the few calls by which huggingface_hub makes a repository and puts files there."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_only_for_this_test"


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)

    @property
    def head(self) -> str:
        return self.commits[-1] if self.commits else "0" * 40


@dataclass
class Hub:
    port: int
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def handle_call(self) -> None:
        """Refuses whoever has not the token; large files are put where the batch call says."""
        hub, body = self.server.hub, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        hub.calls.append(f"{self.command} {path}")
        if path.startswith("/objects/"):
            hub.objects[path.rpartition("/")[2]] = body
            return self.say({})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.say({"error": "Invalid username or password."}, status=401)
        match path.strip("/").split("/"):
            case ["api", "validate-yaml"]:
                self.say({"warnings": [], "errors": []})
            case ["api", "repos", "create"]:
                self.create(json.loads(body))
            case ["api", "models", owner, name] | ["api", "models", owner, name, "revision", "main"]:
                if (found := hub.repositories.get(f"{owner}/{name}")) is None:
                    return self.say({"error": "Repository not found"}, status=404)
                self.say({"id": f"{owner}/{name}", "private": found.private, "sha": found.head})
            case ["api", "models", owner, name, "preupload", "main"]:
                files = json.loads(body)["files"]
                self.say({"files": [self.mode(hub.repositories[f"{owner}/{name}"], each) for each in files]})
            case [owner, name, "info", "lfs", "objects", "batch"]:
                self.say({"transfer": "basic", "objects": [self.place(each) for each in json.loads(body)["objects"]]})
            case ["api", "models", owner, name, "commit", "main"]:
                self.commit(f"{owner}/{name}", body)
            case _:
                self.say({"error": f"no such call: {path}"}, status=404)

    do_GET = do_POST = do_PUT = handle_call

    def create(self, asked: dict[str, Any]) -> None:
        hub, name = self.server.hub, f"{asked['organization']}/{asked['name']}"
        if asked["organization"] == "others":
            return self.say({"error": "You don't have the rights to create a model under this namespace"}, status=403)
        if name in hub.repositories:
            return self.say({"error": "You already created this model repo", "url": f"{hub.url}/{name}"}, status=409)
        hub.repositories[name] = Repository(private=asked.get("visibility") == "private")
        self.say({"url": f"{hub.url}/{name}", "name": name})

    def mode(self, repository: Repository, file: dict[str, Any]) -> dict[str, Any]:
        """Weights go by LFS, as on the real hub; of a file that is there its git hash, so that it is not sent again."""
        there, is_large = repository.files.get(file["path"]), file["path"].endswith(".safetensors")
        oid = None
        if there is not None:
            plain = hashlib.sha1(f"blob {len(there)}\0".encode() + there).hexdigest()
            oid = hashlib.sha256(there).hexdigest() if is_large else plain
        return {"path": file["path"], "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False, "oid": oid}

    def place(self, wanted: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.server.hub.url}/objects/{wanted['oid']}"}
        there = wanted["oid"] in self.server.hub.objects
        return {**wanted, **({} if there else {"actions": {"upload": upload}})}

    def commit(self, name: str, body: bytes) -> None:
        repository = self.server.hub.repositories[name]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self.server.hub.objects[value["oid"]]
        repository.commits.append(hashlib.sha1(body).hexdigest())
        url = f"{self.server.hub.url}/{name}/commit/{repository.head}"
        self.say({"commitUrl": url, "commitOid": repository.head})

    def say(self, content: Any, *, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing is printed."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub


@contextmanager
def hub() -> Iterator[Hub]:
    server = Server(("127.0.0.1", 0), Handler)
    server.hub = Hub(int(server.server_address[1]))
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
