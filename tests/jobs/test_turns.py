"""Functions that take turns: real threads."""

import threading
import time

import pytest

from pyubias.jobs.turns import Turns


def test_one_runs_at_a_time_and_goes_on_while_the_others_wait() -> None:
    turns, inside, order = Turns(), threading.Lock(), []
    done = [threading.Event(), threading.Event()]

    def work(what: str) -> None:
        assert inside.acquire(blocking=False)
        time.sleep(0.05)
        order.append(what)
        inside.release()

    def arm(k: int) -> None:
        for step in range(3):
            work(f"{k}.{step}")
            with turns.waiting():
                # each waits for the other, which could not be if they came one after the other
                done[k].set()
                assert done[1 - k].wait(10.0)

    turns.run([lambda: arm(0), lambda: arm(1)], side_by_side=True)
    assert sorted(order) == [f"{k}.{step}" for k in (0, 1) for step in range(3)]


@pytest.mark.parametrize("n", [1, 2])
def test_without_jobs_they_run_here_one_after_the_other(n: int) -> None:
    turns, order = Turns(), []

    def arm(k: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        for _ in range(2):
            order.append(k)
            with turns.waiting():
                pass

    turns.run([lambda k=k: arm(k) for k in range(n)], side_by_side=n == 1)
    assert order == sorted(order)
    assert len(order) == 2 * n


def test_an_error_of_one_ends_the_others_when_they_next_wait() -> None:
    turns, waits = Turns(), []

    def fail() -> None:
        with turns.waiting():
            time.sleep(0.2)
        raise ValueError("the labels are gone")

    def go_on() -> None:
        while len(waits) < 1000:
            waits.append(1)
            with turns.waiting():
                time.sleep(0.05)

    with pytest.raises(ValueError, match="the labels are gone"):
        turns.run([go_on, fail], side_by_side=True)
    assert 1 <= len(waits) < 100
    assert threading.active_count() == 1


def test_one_that_has_not_begun_does_not_begin_after_an_error() -> None:
    begun: list[int] = []

    def fail(k: int) -> None:
        begun.append(k)
        raise ValueError(f"{k}")

    with pytest.raises(ValueError, match=r"^[01]$"):
        Turns().run([lambda: fail(0), lambda: fail(1)], side_by_side=True)
    assert len(begun) == 1
