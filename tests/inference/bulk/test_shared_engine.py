"""One network for many threads: common batches, each caller's own logits, each caller's own errors."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cafrnet.inference.bulk.shared_engine import SharedEngine


class Doubling:
    """An engine whose logits are its images doubled, and that notes the length of every batch."""

    name, metadata, image_shape, logits_shape = "doubling", {"a": 1}, (None, 1, 2, 2), (None, 1, 2, 2)

    def __init__(self):
        self.batches, self.at_work, self.entered, self.gate = [], 0, threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self, images):
        self.at_work += 1
        assert self.at_work == 1, "two batches at once"
        self.entered.set()
        assert self.gate.wait(10)
        self.batches.append(len(images))
        self.at_work -= 1
        if (images < 0).any():
            raise ValueError("negative")
        return images * 2


def images(n, value=1.0):
    return np.full((n, 1, 2, 2), value, np.float32)


def while_busy(engine, shared, calls):
    """Call in threads of their own, in order, while the engine is held up by a first call; return futures."""
    engine.gate.clear()
    pool = ThreadPoolExecutor(len(calls) + 1)
    first = pool.submit(shared, images(1, 0.0))
    assert engine.entered.wait(10)
    futures = []
    for number, one in enumerate(calls, 1):
        futures.append(pool.submit(shared, one))
        while len(shared._waiting) < number:
            pass
    engine.gate.set()
    first.result(10)
    return futures


def test_alone_it_is_the_engine():
    engine = Doubling()
    shared = SharedEngine(engine, 8)
    assert np.array_equal(shared(images(3)), images(3, 2.0))
    assert (shared.name, shared.metadata) == ("doubling", {"a": 1})
    assert (shared.image_shape, shared.logits_shape) == ((None, 1, 2, 2), (None, 1, 2, 2))


def test_waiting_calls_of_any_length_share_a_batch_and_get_their_own_logits_back():
    engine = Doubling()
    shared = SharedEngine(engine, 8)
    futures = while_busy(engine, shared, [images(n, float(n)) for n in (3, 1, 4, 2)])
    for n, future in zip((3, 1, 4, 2), futures, strict=True):
        assert np.array_equal(future.result(10), images(n, 2.0 * n))
    assert engine.batches == [1, 8, 2]  # 3 + 1 + 4 fit into 8; in the order in which they came


def test_a_call_larger_than_a_batch_goes_through_as_it_came():
    engine = Doubling()
    shared = SharedEngine(engine, 2)
    assert len(shared(images(5))) == 5
    futures = while_busy(engine, shared, [images(5), images(1), images(1)])
    assert [len(f.result(10)) for f in futures] == [5, 1, 1]
    assert engine.batches == [5, 1, 5, 2]


def test_an_error_reaches_only_the_caller_whose_images_cause_it():
    engine = Doubling()
    shared = SharedEngine(engine, 8)
    good, bad, other = while_busy(engine, shared, [images(2), images(1, -1.0), images(3)])
    assert np.array_equal(good.result(10), images(2, 2.0))
    assert np.array_equal(other.result(10), images(3, 2.0))
    with pytest.raises(ValueError, match="negative"):
        bad.result(10)


def test_logits_that_are_too_few_are_not_shared_out():
    engine = Doubling()
    engine.__class__ = type("Short", (Doubling,), {"__call__": lambda self, x: x[:1]})
    with pytest.raises(ValueError, match="1 logits came for 2 images"):
        SharedEngine(engine, 8)(images(2))


def test_many_threads_many_calls():
    engine = Doubling()
    shared = SharedEngine(engine, 6)
    with ThreadPoolExecutor(8) as pool:
        for n, logits in pool.map(lambda n: (n, shared(images(1 + n % 3, float(n)))), range(200)):
            assert np.array_equal(logits, images(1 + n % 3, 2.0 * n))
    assert sum(engine.batches) == sum(1 + n % 3 for n in range(200))
    assert max(engine.batches) <= 6
