from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue
from kombu.simple import SimpleQueue

from config.embedded import broker

MESSAGES = 2_000
SENDERS = READERS = 4


def connection(folder: Path) -> Connection:
    return Connection(broker.URL, transport_options=broker.transport_options(folder) | {"polling_interval": 0.005})


def take(queue: SimpleQueue) -> object:
    message = queue.get(timeout=2)
    message.ack()
    return message.payload


def send(folder: Path, sender: int) -> None:
    with connection(folder) as to, to.SimpleQueue("work") as queue:
        for number in range(MESSAGES // SENDERS):
            queue.put({"number": sender * MESSAGES + number, "padding": "x" * 20_000})


def receive(folder: Path, out: Path) -> None:
    with connection(folder) as source, source.SimpleQueue("work") as queue, out.open("w") as file:
        while True:
            try:
                message = queue.get(timeout=3)
            except SimpleQueue.Empty:
                return
            message.ack()
            print(message.payload["number"], len(message.payload["padding"]), file=file)


def test_many_senders_and_readers_lose_nothing_repeat_nothing_and_meet_no_half_message(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("spawn")
    folder = tmp_path / "broker"
    outs = [tmp_path / f"read-{reader}" for reader in range(READERS)]
    processes = [fork.Process(target=receive, args=(folder, out)) for out in outs]
    processes += [fork.Process(target=send, args=(folder, sender)) for sender in range(SENDERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    read = [tuple(map(int, line.split())) for out in outs for line in out.read_text().splitlines()]
    expected = {sender * MESSAGES + number for sender in range(SENDERS) for number in range(MESSAGES // SENDERS)}
    assert Counter(number for number, _ in read) == Counter(expected)
    assert {length for _, length in read} == {20_000}
    assert [path.name for path in (folder / "messages").iterdir()] == []


def test_a_file_that_is_no_message_is_put_aside_and_the_next_one_arrives(tmp_path: Path) -> None:
    with connection(tmp_path) as link, link.SimpleQueue("work") as queue:
        (tmp_path / "messages" / "00_empty.work.msg").touch()
        (tmp_path / "messages" / "00_half.work.msg").write_text('{"body": "abc')
        queue.put("whole")
        assert take(queue) == "whole"
    aside = sorted(path.name for path in (tmp_path / "messages").iterdir() if path.suffix == ".unreadable")
    assert aside == ["00_empty.work.msg.unreadable", "00_half.work.msg.unreadable"]


def test_messages_arrive_in_the_order_sent(tmp_path: Path) -> None:
    with connection(tmp_path) as link, link.SimpleQueue("work") as queue:
        for number in range(20):
            queue.put(number)
        assert [take(queue) for _ in range(20)] == list(range(20))


def test_a_message_taken_but_not_acknowledged_is_put_back_on_an_orderly_close(tmp_path: Path) -> None:
    with connection(tmp_path) as link, link.SimpleQueue("work") as queue:
        queue.put("held")
        queue.get(timeout=2)
    with connection(tmp_path) as link, link.SimpleQueue("work") as queue:
        assert take(queue) == "held"


def test_a_message_claimed_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    with connection(tmp_path) as link, link.SimpleQueue("work") as queue:
        queue.put("again")
    (message,) = (tmp_path / "messages").iterdir()
    message.rename(message.with_name(f".{message.name}.claimed"))
    (tmp_path / "messages" / ".1234.part").write_text('{"bo')
    (tmp_path / "messages" / "5_6.worker@here.celery.pidbox.msg").write_text(json.dumps({}))
    assert broker.recover(tmp_path) == 1
    with connection(tmp_path) as link, link.SimpleQueue("work") as queue:
        assert take(queue) == "again"
    assert list((tmp_path / "messages").iterdir()) == []


def test_a_fanout_exchange_reaches_every_queue_bound_to_it(tmp_path: Path) -> None:
    fan = Exchange("fan", type="fanout")
    with connection(tmp_path) as link:
        channel = link.channel()
        queues = [Queue(name, fan)(channel) for name in ("one", "two")]
        for queue in queues:
            queue.declare()
        link.Producer(channel).publish("to all", exchange=fan)
        assert [queue.get(no_ack=True).payload for queue in queues] == ["to all", "to all"]


def test_an_unbound_queue_gets_no_more(tmp_path: Path) -> None:
    fan = Exchange("fan", type="fanout")
    with connection(tmp_path) as link:
        channel = link.channel()
        queue = Queue("one", fan)(channel)
        queue.declare()
        queue.delete()
        assert channel.get_table("fan") == []


@pytest.mark.parametrize("name", ["../outside", "a/b"])
def test_an_exchange_cannot_name_a_file_elsewhere(tmp_path: Path, name: str) -> None:
    with connection(tmp_path) as link, pytest.raises(Exception, match="Invalid exchange name"):
        Queue("one", Exchange(name, type="fanout"))(link.channel()).declare()
