"""A whole machine that is asleep, or frozen, for a while: nobody is blamed for it."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from tests.kit import Node, poll_for

ASLEEP_S = 30.0


@pytest.mark.long
@pytest.mark.parametrize("first", ["master", "workers"])
def test_all_of_it_wakes_up_as_it_was(first: str) -> None:
    with Node("up", "--workers", "3", "--port", "0", "--json") as node:
        address = node.ready["master"]
        with AttachedCluster(address) as cluster, Client(address, timeout=5.0) as client:
            poll_for(lambda: [one.state for one in cluster.snapshot().workers] == ["up"] * 3)
            before = {one.pid for one in cluster.snapshot().workers}
            master = node.process.pid
            workers = [one.pid for one in psutil.Process(master).children(recursive=True)]
            everybody = [master, *workers] if first == "master" else [*workers, master]
            for pid in everybody:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(ASLEEP_S)  # that is the very thing: nothing is to happen meanwhile
            for pid in everybody:
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.1)
            assert client.getbyname("xander")
            poll_for(lambda: [one.state for one in cluster.snapshot().workers] == ["up"] * 3)
            assert {one.pid for one in cluster.snapshot().workers} == before
            kinds = {one.kind for one in cluster.events()}
            assert not kinds & {"lost", "restarted", "restarting", "crash_looping", "trouble"}
