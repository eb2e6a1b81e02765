"""How the partitions of a queue share the places of their worker."""

from collections.abc import Sequence

from support.working import held

from domainstream.worker.bullmq.job import COMPLETE, HeldJob, JobUpdate
from domainstream.worker.bullmq.places import Places
from domainstream.worker.bullmq.round_trip import RoundTrip, RoundTripReply
from domainstream.worker.bullmq.tracker import JobTracker


class Partition:
    """A tracker, and the jobs that its queue has; its round trips are answered at once."""

    def __init__(self, name: str, total: int, places: Places, jobs: int = 0) -> None:
        self.tracker = JobTracker(name, total, places)
        self.waiting = jobs
        self.running: list[HeldJob] = []
        self._name, self._numbers = name, 0

    def turn(self) -> bool:
        """Make the round trip that is due; return whether one is."""
        round_trip = self.tracker.next_round_trip(0)
        if round_trip is not None:
            self.answer(round_trip)
        return round_trip is not None

    def answer(self, round_trip: RoundTrip) -> None:
        """Answer a round trip with as many jobs as there are."""
        count = min(self.waiting, round_trip.fetch_count)
        jobs = [held(f"{self._name}-{self._numbers + number}") for number in range(count)]
        self.waiting, self._numbers = self.waiting - count, self._numbers + count
        self.running += jobs
        self.tracker.done(round_trip, RoundTripReply([], jobs, 0, 0, ""), 0)

    def add(self, jobs: int) -> None:
        """Add jobs to the queue."""
        self.waiting += jobs
        self.tracker.wake()

    def end(self, jobs: int = 1) -> None:
        """Let so many handlers return."""
        for job in self.running[:jobs]:
            self.tracker.report(JobUpdate(COMPLETE, job, 0))
        self.running = self.running[jobs:]


def partitions(total: int, *jobs: int) -> list[Partition]:
    """Return partitions that share a number of places, and have so many jobs each."""
    places = Places(total)
    return [Partition(chr(ord("a") + number), total, places, count) for number, count in enumerate(jobs)]


def settle(some: Sequence[Partition]) -> list[int]:
    """Make all round trips that are due; return how many jobs run in each partition."""
    while sum(partition.turn() for partition in some):
        pass
    return [len(partition.running) for partition in some]


def test_partition_that_is_alone_with_jobs_has_all_places() -> None:
    """A hot partition uses the places of those that have no jobs."""
    assert settle(partitions(10, 30, 0, 0, 0)) == [10, 0, 0, 0]


def test_partitions_with_jobs_share_evenly() -> None:
    """Partitions that all have a backlog have the same share, and together no more than the concurrency."""
    assert settle(partitions(12, 30, 30, 30)) == [4, 4, 4]


def test_few_jobs_leave_their_places_to_others() -> None:
    """What one partition has no jobs for, the others use."""
    assert settle(partitions(12, 30, 1, 30)) in ([6, 1, 5], [5, 1, 6])


def test_newcomer_gets_its_share_as_jobs_end() -> None:
    """A partition that gets jobs while another has all places has its share once as many jobs have ended."""
    hot, other = some = partitions(10, 100, 0)
    assert settle(some) == [10, 0]
    other.add(100)
    assert settle(some) == [10, 0]
    for _ in range(10):
        hot.end()
        settle(some)
    assert settle(some) == [5, 5]


def test_fewer_places_than_partitions_go_round() -> None:
    """With fewer places than partitions, each gets its turn."""
    some = partitions(1, 50, 50, 50)
    order = []
    for _ in range(9):
        running = settle(some)
        assert sum(running) == 1
        number = running.index(1)
        order.append(number)
        some[number].end()
    assert sorted(order[:3]) == sorted(order[3:6]) == sorted(order[6:]) == [0, 1, 2]


def test_partition_whose_server_fails_holds_up_no_other() -> None:
    """Nobody waits for a partition whose calls fail, also if it had been next."""
    first, second, third = some = partitions(1, 50, 50, 50)
    assert settle(some) == [1, 0, 0]
    second.tracker.call_failed(ConnectionError("gone"))
    first.end()
    assert settle([first, third]) == [0, 1]
    third.end()
    assert settle([first, third]) == [1, 0]


def test_lost_reply_gives_its_places_back() -> None:
    """A fetch that was not answered makes room for the other partitions."""
    lost, other = partitions(4, 10, 0)
    round_trip = lost.tracker.next_round_trip(0)
    assert round_trip is not None
    other.add(10)
    settle([other])
    lost.tracker.failed(round_trip)
    lost.tracker.call_failed(ConnectionError("gone"))
    assert settle([other]) == [4]


def test_place_of_a_job_whose_end_is_being_reported_is_free() -> None:
    """Another partition may fetch while the end of a job is on its way, as the same one may."""
    first, second = partitions(1, 1, 0)
    settle([first])
    second.add(1)
    assert second.tracker.next_round_trip(0) is None
    first.end()
    report = first.tracker.next_round_trip(0)
    assert report is not None
    assert report.fetch_count == 0
    assert second.turn()
    assert len(second.running) == 1


def test_stopped_partition_wants_nothing() -> None:
    """A tracker that is closed leaves the line."""
    first, second, third = some = partitions(1, 5, 5, 5)
    assert settle(some) == [1, 0, 0]
    second.tracker.close()
    first.end()
    assert settle([first, third]) == [0, 1]
