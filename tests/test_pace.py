"""Strides: how many steps one compiled call takes, and on how many threads, by what calls took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastsim import pace
from mastsim.pace import Stride


def calls(stride, alone, together, number):
    """Return steps and threads of so many calls of steps that take so long alone and together."""
    found = []
    for _ in range(number):
        steps, threads = stride.next(10**9)
        stride.took(steps, threads, steps * (alone if threads == 1 else together))
        found.append((steps, threads))
    return found


def test_a_call_on_several_threads_is_worth_waking_them():
    found = calls(Stride(2, 1), 1e-5, 6e-6, 30)
    assert [threads for _, threads in found[:10]] == [1, 1, 1, 1, 1, 1, 1, 1, 1, 2]
    assert found[9][0] == 512
    # Alone only to look again, and shortly.
    assert all(steps * 1e-5 <= 0.05 for steps, threads in found[10:] if threads == 1)
    assert all(steps * 1e-5 >= 4e-3 for steps, threads in found if threads == 2)


def test_one_disturbed_call_is_soon_forgotten():
    stride = Stride(2, 1)
    calls(stride, 1e-5, 6e-6, 9)
    calls(stride, 1e-5, 2e-4, 1)
    after = calls(stride, 1e-5, 6e-6, 4)
    assert [threads for _, threads in after[:2]] == [1, 2]
    # Again as short as is worth it.
    assert after[1][0] * 1e-5 <= 5e-3


def test_the_other_way_is_tried_again_now_and_then():
    winning = [threads for _, threads in calls(Stride(2, 1), 1e-5, 6e-6, 400)]
    assert 5 <= winning[10:].count(1) <= 20
    disturbed = Stride(2, 1)
    calls(disturbed, 1e-4, 2e-5, 10)
    assert [threads for _, threads in calls(disturbed, 1e-5, 2e-5, 30)].count(1) >= 20
    losing = [threads for _, threads in calls(Stride(2, 1), 1e-5, 2e-4, 400)]
    assert 5 <= losing.count(2) <= 15
    stride = Stride(2, 1)
    calls(stride, 1e-5, 2e-4, 400)
    assert [threads for _, threads in calls(stride, 1e-5, 6e-6, 70)].count(2) >= 1
    assert [threads for _, threads in calls(stride, 1e-5, 6e-6, 100)].count(2) >= 90


@given(st.integers(1, 64), st.integers(1, 20), st.floats(1e-8, 1e-1), st.floats(1e-8, 1e-1))
def test_no_thread_has_less_than_its_part_and_no_call_lasts_long(threads, replicas, alone, together):
    stride = Stride(threads, replicas)
    found = calls(stride, alone, together, 100)
    assert all(1 <= members <= threads for _, members in found)
    assert all(members == 1 or alone / replicas / members >= 0.999 * pace._PART for _, members in found)
    # A call is at most twice as long as one that was not too long, at the pace of the slower way.
    slower = max(alone, together) / min(alone, together) if any(members > 1 for _, members in found) else 1.0
    assert all(steps == 1 or steps * alone <= 2 * pace.PATIENCE * slower + 1e-9 for steps, _ in found)


@pytest.mark.parametrize("threads", [1, 2])
def test_short_stretches_neither_lengthen_calls_nor_exceed_what_is_left(threads):
    stride = Stride(threads, 1)
    for _ in range(100):
        steps, members = stride.next(3)
        assert steps <= 3
        stride.took(steps, members, 1e-5 * steps)
    assert stride.next(10**9)[0] <= 4
