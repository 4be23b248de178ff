"""Durations of calls."""

from __future__ import annotations

import time

import torch

from hybridonn.deployment.latency import measure_latency, one_thread


def test_a_call_of_two_milliseconds() -> None:
    found = measure_latency(lambda: time.sleep(0.002))
    assert 2000 <= found["least_us"] <= found["median_us"]


def test_threads_come_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
