"""The figures behind a project's charts."""

from __future__ import annotations

from datetime import date, timedelta

from django.utils import timezone

from annotation import boards
from annotation.models import Assignment, ItemKind, Ranking
from annotation.progress import progress
from tests.world import World, answer, make_prompt, make_ranking_item, rank, taken


def test_throughput_counts_submitted_pieces_by_their_day_and_kind(world: World) -> None:
    world.project.demonstrations_per_prompt = 1
    make_prompt(world.project, "One?")
    for _item in range(3):
        make_ranking_item(world.project, overlap=2)
    answer(taken(world.project, world.alice, ItemKind.DEMONSTRATION))
    for _piece in range(2):
        rank(taken(world.project, world.alice, ItemKind.RANKING))
    taken(world.project, world.bob, ItemKind.RANKING)
    earlier = Assignment.objects.filter(item__kind=ItemKind.RANKING, state="submitted").first()
    Assignment.objects.filter(pk=earlier.pk).update(finished_at=timezone.now() - timedelta(days=3))
    done = boards.throughput(world.project)
    today = timezone.localdate()
    assert (len(done), min(done), max(done)) == (30, today - timedelta(days=29), today)
    assert done[today] == {ItemKind.DEMONSTRATION: 1, ItemKind.RANKING: 1}
    assert done[today - timedelta(days=3)] == {ItemKind.RANKING: 1}
    assert not any(boards.throughput(world.next_door).values())


def test_the_backlog_tells_what_waits_from_what_is_in_work(world: World) -> None:
    make_ranking_item(world.project, overlap=3)
    taken(world.project, world.alice)
    found = {each.kind: (each.waiting, each.in_work) for each in boards.backlog(world.project, progress(world.project))}
    assert found[ItemKind.RANKING] == (2, 1)
    assert found[ItemKind.DEMONSTRATION] == (0, 0)


def test_the_mix_leaves_out_what_was_rejected(world: World) -> None:
    type(world.project).objects.update(languages=["en", "de"])
    world.project.refresh_from_db()
    for number in range(3):
        make_prompt(world.project, f"{number}?", use_case="chat")
    make_prompt(world.project, "Wer?", use_case="open_qa", language="de")
    rejected = make_prompt(world.project, "No.", use_case="other")
    type(rejected).objects.filter(pk=rejected.pk).update(review="rejected")
    assert boards.mix(world.project) == ([("chat", 3), ("open_qa", 1)], [("en", 3), ("de", 1)])


def test_agreement_by_week_is_that_of_the_weeks_in_which_two_people_ranked_the_same(world: World) -> None:
    monday = timezone.localdate() - timedelta(days=timezone.localdate().weekday() + 14)
    for same in (True, False):
        item = make_ranking_item(world.project, texts=("one", "two"), prompt=make_prompt(world.project, f"{same}?"))
        groups = [[each] for each in item.completions]
        for person, order in ((world.alice, groups), (world.bob, groups if same else groups[::-1])):
            Ranking.objects.create(prompt=item.prompt, annotator=person, groups=order, shown=item.completions)
    Ranking.objects.filter(prompt__digest=item.prompt.digest).update(created_at=timezone.now() - timedelta(days=400))
    Ranking.objects.exclude(prompt=item.prompt).update(created_at=noon(monday + timedelta(days=3)))
    [(week, found)] = boards.agreement_by_week(world.project).items()
    assert (week, found.value, found.pairs) == (monday, 1.0, 1)


def noon(day: date) -> object:
    return timezone.now().replace(year=day.year, month=day.month, day=day.day, hour=12)
