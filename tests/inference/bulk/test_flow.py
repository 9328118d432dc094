"""Items through stages: which run together, how many are under way, and what remains when it is cut short."""

import threading
import time

import pytest

from cafrnet.errors import UsageError
from cafrnet.inference.bulk.flow import Flow, Stage


class End(int):
    """A value that is an item's end."""


def test_every_item_goes_through_every_stage_whatever_the_order():
    stages = Stage(lambda n: n + 1, 2), Stage(lambda n: n * 10, 3), Stage(End)
    results = list(Flow(stages, 4, ends=End).run(range(50)))
    assert sorted(results) == [(n, End((n + 1) * 10)) for n in range(50)]


def test_no_items_no_results_and_no_thread_is_left():
    before = threading.active_count()
    assert list(Flow([Stage(End)], 3, ends=End).run([])) == []
    assert threading.active_count() == before


def test_never_more_items_under_way_than_allowed_and_items_are_taken_as_there_is_room():
    taken, guard = [], threading.Lock()
    most, ended = [0], [0]

    def items():
        for n in range(40):
            taken.append(n)
            with guard:
                most[0] = max(most[0], len(taken) - ended[0])
            yield n

    def work(n):
        time.sleep(0.001)
        return n

    flow = Flow([Stage(work, 5), Stage(work, 5), Stage(End, 5)], 3, ends=End)
    for _ in flow.run(items()):
        with guard:
            ended[0] += 1
    assert ended[0] == 40
    assert most[0] == 3


def test_stages_work_at_the_same_time():
    """Two stages that each wait for the other to be at work: with one thread for both this would hang."""
    meeting = threading.Barrier(2)

    def first(n):
        if n == 1:
            meeting.wait(timeout=10)
        return n

    def second(n):
        if n == 0:
            meeting.wait(timeout=10)
        return End(n)

    assert sorted(Flow([Stage(first), Stage(second)], 2, ends=End).run([0, 1])) == [(0, 0), (1, 1)]


def test_an_exception_ends_its_item_alone():
    def odd(n):
        if n % 2:
            raise ValueError(n)
        return n

    results = dict(Flow([Stage(odd, 2), Stage(End)], 3, ends=End).run(range(6)))
    assert [type(results[n]) for n in range(6)] == [End, ValueError] * 3
    assert results[3].args == (3,)


def test_an_end_in_an_early_stage_skips_the_later_ones():
    seen = []
    stages = Stage(lambda n: End(-1) if n == 2 else n), Stage(lambda n: seen.append(n) or End(n))
    results = dict(Flow(stages, 2, ends=End).run(range(4)))
    assert results == {0: 0, 1: 1, 2: -1, 3: 3}
    assert seen == [0, 1, 3]


def test_cut_short_what_is_in_work_ends_and_nothing_else_begins():
    begun, ended, gate = [], [], threading.Event()

    def work(n):
        begun.append(n)
        if n > 0:
            gate.wait(10)
        ended.append(n)
        return End(n)

    before = threading.active_count()
    flow = Flow([Stage(work, 2)], 6, ends=End)
    running = flow.run(range(100))
    assert next(running) == (0, 0)
    while len(begun) < 3:
        time.sleep(0.001)
    threading.Timer(0.05, gate.set).start()
    running.close()
    assert sorted(begun) == sorted(ended) == [0, 1, 2]
    assert sorted(flow.stopped()) == [(1, 1), (2, 2)]
    assert list(flow.stopped()) == []
    assert threading.active_count() <= before + 1  # the timer may still be ending


def test_an_exception_of_whoever_feeds_it_leaves_no_thread():
    def items():
        yield 1
        raise KeyboardInterrupt

    before = threading.active_count()
    flow = Flow([Stage(End, 3)], 3, ends=End)
    with pytest.raises(KeyboardInterrupt):
        list(flow.run(items()))
    assert threading.active_count() == before
    assert list(flow.stopped()) in ([], [(0, 1)])  # it may have been waiting still


def test_no_item_at_once_is_refused():
    with pytest.raises(UsageError, match="0 cases at once came, at least 1"):
        Flow([Stage(End)], 0, ends=End)
