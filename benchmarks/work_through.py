"""`python -m benchmarks.work_through --rankings FILE --demonstrations FILE --json FILE`: real files worked through.

An admin makes a project and imports sets of outputs (JSON lines, also gzipped: prompt, and completions with text and
model) and demonstrations (prompt, completion, language). Annotators open and rank every set over HTTP, a reviewer
accepts every demonstration, all of it on the server and the worker as the stack starts them. Then the exports are
compared with what was in the files and with what was submitted. It fails where anything is lost or other than it was.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx

Json = dict[str, Any]
Ranks = dict[str, int]  # text → rank from 1

PASSWORD = "a long walk by the river"
SLUG = "real"
HOLD_ON = 120  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.work_through", description=__doc__)
    parser.add_argument("--rankings", type=Path, required=True, help="sets of outputs")
    parser.add_argument("--demonstrations", type=Path, required=True)
    parser.add_argument("--annotators", type=int, default=4)
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"PLUMBLINE_DATA": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "WARNING"}
        report = with_services(Path(folder), arguments)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def with_services(folder: Path, arguments: argparse.Namespace) -> Json:
    from config.embedded import postgres

    postgres.start(folder, with_parent=True)
    try:
        import django

        django.setup()
        from django.core.management import call_command

        from tests.processes import web, worker

        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        with web() as address, worker(queues="default"):
            return worked_through(address, arguments)
    finally:
        postgres.stop(folder)


@dataclass
class Person:
    """Somebody signed in to the pages, and with a token for the API."""

    address: str
    name: str
    token: str
    times: dict[str, list[float]] = field(default_factory=dict)
    ranked: list[tuple[str, Ranks]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.address, timeout=HOLD_ON, follow_redirects=True)
        page = self.until_up("/account/login/")
        sent = {"login": self.name, "password": PASSWORD, "csrfmiddlewaretoken": page.cookies["csrftoken"]}
        self.client.post("/account/login/", data=sent).raise_for_status()

    def until_up(self, path: str) -> httpx.Response:
        deadline = time.monotonic() + HOLD_ON
        while True:
            try:
                return self.client.get(path).raise_for_status()
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def timed(self, what: str, method: str, path: str, **options: Any) -> httpx.Response:
        if path.startswith("/api/"):
            options["headers"] = {"Authorization": f"Bearer {self.token}"}
        started = time.monotonic()
        answer = self.client.request(method, path, **options)
        self.times.setdefault(what, []).append(1000 * (time.monotonic() - started))
        if answer.is_error:
            sys.exit(f"{method} {path} as {self.name}: {answer.status_code} {answer.text[:500]}")
        return answer

    def rank_all(self) -> None:
        """Open each set's page and rank it: longer is better, and within 100 characters it is a tie."""
        where = f"/api/v1/projects/{SLUG}/queue/take/"
        piece = self.timed("first piece", "POST", where, json={"kinds": ["ranking"]})
        following = piece.json() if piece.content else None
        while following:
            page = self.timed("ranking page", "GET", f"/assignments/{following['id']}/").text
            assert all(f'"{each["id"]}"' in page for each in following["completions"])
            ranks = {each["id"]: -(len(each["text"]) // 100) for each in following["completions"]}
            groups = [[key for key in ranks if ranks[key] == rank] for rank in sorted(set(ranks.values()))]
            texts = {each["id"]: each["text"] for each in following["completions"]}
            sent = {"client_key": str(uuid.uuid4()), "groups": groups, "take_next": True, "kinds": ["ranking"]}
            answer = self.timed("submit and next", "POST", f"/api/v1/assignments/{following['id']}/submit/", json=sent)
            submitted = {texts[key]: rank for rank, group in enumerate(groups, start=1) for key in group}
            self.ranked.append((following["prompt"]["messages"][-1]["content"], submitted))
            following = answer.json()["next"]


def worked_through(address: str, arguments: argparse.Namespace) -> Json:
    ada, rita, *annotators = people(address, arguments.annotators)
    started = time.monotonic()
    sets = list(lines(arguments.rankings))
    answers = list(lines(arguments.demonstrations))
    brought = {
        "completions": imported(ada, "completions", arguments.rankings),
        "demonstrations": imported(ada, "demonstrations", arguments.demonstrations),
    }
    with ThreadPoolExecutor(len(annotators)) as desks:
        list(desks.map(Person.rank_all, annotators))
    reviewed = reviewed_all(rita)
    prompts = {row["id"]: row["prompt"] for row in exported(ada, "instructions")}
    waiting = pages_of(ada, "held outputs", f"/api/v1/projects/{SLUG}/held/")
    held = [each | {"prompt": prompts[each["prompt"]]} for each in waiting]
    for name in ("quality", "review", "charts", "leaderboard", "members", "held"):
        ada.timed(f"{name} page", "GET", f"/projects/{SLUG}/{name}/")
    submitted = [each for person in annotators for each in person.ranked]
    checks = checked_rankings(exported(ada, "rankings"), submitted, sets, held)
    checks |= checked_demonstrations(exported(ada, "demonstrations"), answers)
    checks["demonstrations reviewed"] = reviewed
    times: dict[str, list[float]] = {}
    for person in (ada, rita, *annotators):
        for what, taken in person.times.items():
            times.setdefault(what, []).extend(taken)
    return {
        "cores": os.cpu_count(),
        "annotators": len(annotators),
        "seconds": round(time.monotonic() - started, 1),
        "imported": brought,
        "found": checks,
        "held": Counter(each["giveaway"] for each in held),
        "milliseconds": {what: summary(taken) for what, taken in times.items()},
    }


def people(address: str, annotators: int) -> list[Person]:
    """The project, made by its admin, with a reviewer and annotators."""
    from annotation import managing
    from annotation.models import ApiToken, Membership, Role, User

    names = ["ada", "rita", *(f"annotator-{number}" for number in range(annotators))]
    users = [User.objects.create_user(name, password=PASSWORD) for name in names]
    project = managing.create(by=users[0], name="Real data", slug=SLUG)
    project.languages, project.demonstrations_per_prompt, project.overlap = ["en", "zh"], 0, 1
    project.save()
    roles = [Role.REVIEWER, *[Role.ANNOTATOR] * annotators]
    for user, role in zip(users[1:], roles, strict=True):
        Membership.objects.create(project=project, user=user, role=role)
    for role in (Role.REVIEWER, Role.RESEARCHER):
        Membership.objects.get_or_create(project=project, user=users[0], role=role)
    day = timedelta(days=1)
    return [Person(address, user.username, ApiToken.issue(user, name="work", lifetime=day)[1]) for user in users]


def lines(path: Path) -> Iterator[Json]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from map(json.loads, file)


def imported(ada: Person, kind: str, path: Path) -> Json:
    """Looked through first, then confirmed, as on the page."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    file = {"file": (path.name.removesuffix(".gz"), content)}
    where = f"/api/v1/projects/{SLUG}/import/{kind}/"
    upload = settled(ada, ada.timed("import", "POST", where, files=file, data={"preview": "true"}).json())
    if upload["bad"]:
        sys.exit(f"{upload['bad']} lines of {path} can't be used: {upload['errors'][:5]}")
    started = time.monotonic()
    where = f"/api/v1/projects/{SLUG}/imports/{upload['id']}/"
    done = settled(ada, ada.timed("import", "POST", f"{where}confirm/", json={"keep_good": False}).json())
    return {"lines": upload["good"], "rows": done["rows"], "seconds": round(time.monotonic() - started, 1)}


def settled(ada: Person, upload: Json) -> Json:
    deadline = time.monotonic() + HOLD_ON
    while upload["state"] in ("received", "confirmed"):
        assert time.monotonic() < deadline, upload
        time.sleep(0.2)
        upload = ada.timed("import's state", "GET", f"/api/v1/projects/{SLUG}/imports/{upload['id']}/").json()
    assert upload["state"] in ("checked", "done"), upload
    return upload


def reviewed_all(rita: Person) -> int:
    """Accept what waits, page by page; how much that was."""
    where, changed = f"/api/v1/projects/{SLUG}/review/demonstration/", 0
    while True:
        rita.timed("review page", "GET", f"/projects/{SLUG}/review/?kind=demonstration&state=pending")
        waiting = rita.timed("review queue", "GET", where, params={"state": "pending"}).json()["results"]
        if not waiting:
            return changed
        sent = {"pieces": [piece["id"] for piece in waiting], "state": "accepted"}
        changed += rita.timed("decisions", "POST", where, json=sent).json()["changed"]


def pages_of(person: Person, what: str, path: str) -> Iterator[Json]:
    url: str | None = path
    while url:
        answer = person.timed(what, "GET", url.removeprefix(person.address)).json()
        yield from answer["results"]
        url = answer["next"]


def exported(ada: Person, kind: str) -> list[Json]:
    text = ada.timed(f"export {kind}", "GET", f"/api/v1/projects/{SLUG}/export/{kind}.jsonl").text
    return [json.loads(line) for line in text.splitlines() if line]


def checked_rankings(rows: list[Json], submitted: list[tuple[str, Ranks]], sets: list[Json], held: list[Json]) -> Json:
    """What was submitted is what is exported, and every output of the files was ranked or is held."""
    by_prompt = dict(submitted)
    assert len(by_prompt) == len(submitted) == len(rows), "a set was ranked twice, or a ranking is lost"
    exported: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        ranks = by_prompt[row["prompt"]]
        for each in row["completions"]:
            assert ranks[each["text"].strip()] == each["rank"], f"another rank: {each}"
            exported[row["prompt"], each["model"], each["text"].strip()] += 1
    assert len({tuple(sorted(set(ranks.values()))) for ranks in by_prompt.values()}) > 1
    brought = Counter(
        (s["prompt"].strip(), each["model"], each["text"].strip()) for s in sets for each in s["completions"]
    )
    kept_out = Counter((each["prompt"], each["model"], each["text"].strip()) for each in held)
    assert not (exported & kept_out), "an output that gives itself away was ranked"
    assert exported + kept_out == brought, f"{len(brought - exported - kept_out)} outputs are neither ranked nor held"
    return {
        "sets": len(sets),
        "rankings submitted": len(submitted),
        "rankings exported as submitted": len(rows),
        "with ties": sum(len(set(ranks.values())) < len(ranks) for _prompt, ranks in submitted),
        "outputs": brought.total(),
        "outputs ranked": exported.total(),
        "outputs held": kept_out.total(),
    }


def checked_demonstrations(rows: list[Json], answers: list[Json]) -> Json:
    found = {(row["prompt"], row["completion"]): row for row in rows}
    wanted = {(each["prompt"].strip(), each["completion"].strip()): each["language"] for each in answers}
    assert found.keys() == wanted.keys(), f"{len(wanted.keys() ^ found.keys())} demonstrations differ"
    assert all(found[key]["language"] == language for key, language in wanted.items())
    assert {row["review"] for row in rows} == {"accepted"}
    return {"demonstrations": len(rows), "languages": Counter(row["language"] for row in rows)}


def summary(taken: list[float]) -> Json:
    ordered = quantiles(taken, n=20, method="inclusive") if len(taken) > 1 else taken * 19
    return {"requests": len(taken), "p50": round(ordered[9]), "p95": round(ordered[18]), "most": round(max(taken))}


if __name__ == "__main__":
    main()
