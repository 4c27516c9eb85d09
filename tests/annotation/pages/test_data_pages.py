from __future__ import annotations

import json

from django.core.files.uploadedfile import SimpleUploadedFile

from annotation.models import Prompt
from tests.annotation.pages.conftest import SignIn
from tests.world import World, make_ranking_item, rank, taken

PROJECT = "/projects/capitals/"
GOOD, BAD = '{"prompt": "Name a river."}', '{"question": "?"}'


def upload(*lines: str, **values: str) -> dict[str, object]:
    return {"kind": "instructions", "file": SimpleUploadedFile("rows.jsonl", "\n".join(lines).encode()), **values}


def test_a_bad_line_is_named_by_number_and_keeps_all_lines_out(world: World, sign_in: SignIn) -> None:
    page = sign_in(world.ada).post(f"{PROJECT}import/", upload(GOOD, BAD)).content.decode()
    assert '<td class="number">2</td><td>There is no “prompt”' in page
    assert "Nothing was changed." in page
    assert not Prompt.objects.exists()


def test_the_good_lines_come_in_where_asked_for(world: World, sign_in: SignIn) -> None:
    page = sign_in(world.ada).post(f"{PROJECT}import/", upload(GOOD, BAD, keep_good="on")).content.decode()
    assert "1 row was imported." in page
    assert "1 line could not be used." in page
    assert Prompt.objects.get().text == "Name a river."


def test_a_file_of_an_unknown_format_is_refused_with_what_to_do(world: World, sign_in: SignIn) -> None:
    sent = {"kind": "instructions", "file": SimpleUploadedFile("rows.xlsx", b"PK")}
    assert ".jsonl, .csv or .parquet" in sign_in(world.ada).post(f"{PROJECT}import/", sent).content.decode()


def test_the_export_page_counts_and_links_every_file_and_each_downloads(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    rank(taken(world.project, world.alice))
    client = sign_in(world.rosa)
    page = client.get(f"{PROJECT}export/").content.decode()
    for kind in ("instructions", "demonstrations", "rankings", "comparisons"):
        for form in ("jsonl", "csv", "parquet"):
            path = f"{PROJECT}export/{kind}.{form}"
            assert f'href="{path}"' in page
            answer = client.get(path)
            assert f"capitals-{kind}.{form}" in answer["Content-Disposition"]
            assert b"".join(answer.streaming_content) or kind == "demonstrations"
    rows = b"".join(client.get(f"{PROJECT}export/comparisons.jsonl").streaming_content).splitlines()
    assert len(rows) == 6
    assert {"prompt", "chosen", "rejected"} <= json.loads(rows[0]).keys()
    assert client.get(f"{PROJECT}export/secrets.jsonl").status_code == 404
