"""The worker: order, batches, latency, loss and recreation of the device, shutdown."""

import threading
from concurrent.futures import CancelledError
from contextlib import contextmanager

import pytest

from edge.clock import SteppedClock
from edge.compute.worker import CALM_S, BatchJob, Worker
from edge.errors import DeviceBusy, DeviceLost, NoDeviceError


class Devices:
    """Opens numbered devices and remembers which are open, and in which threads."""

    def __init__(self, *failures):
        self.opened, self.closed, self.threads = [], [], set()
        self.failures = dict(failures)

    @contextmanager
    def open(self):
        number = len(self.opened)
        self.opened.append(number)
        self.threads.add(threading.current_thread().name)
        if number in self.failures:
            raise self.failures[number]
        yield number
        self.closed.append(number)


@pytest.fixture
def devices():
    return Devices()


class Gate:
    """A job that keeps the worker busy until it is opened."""

    def __init__(self, worker):
        self.inside, self.go = threading.Event(), threading.Event()
        self.future = worker.submit(self.job)
        assert self.inside.wait(5)

    def job(self, _device):
        self.inside.set()
        assert self.go.wait(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go.set()


def batches_of(sizes):
    def run(_device, payloads):
        sizes.append(len(payloads))
        return [payload * 10 for payload in payloads]

    return run


def test_jobs_run_on_the_device_in_order_and_in_one_thread(devices):
    order = []
    with Worker(devices.open) as worker:
        jobs = [
            worker.submit(lambda device, n=n: order.append((device, n, threading.current_thread().name)))
            for n in range(9)
        ]
        for job in jobs:
            job.result(5)

    assert order == [(0, n, "compute") for n in range(9)]
    assert devices.threads == {"compute"}
    assert devices.closed == [0]


def test_what_a_job_raises_reaches_its_caller_only(devices):
    def fails(_device):
        raise ZeroDivisionError("mine")

    with Worker(devices.open) as worker:
        bad, good = worker.submit(fails), worker.submit(lambda device: device)

        with pytest.raises(ZeroDivisionError, match="mine"):
            bad.result(5)
        assert good.result(5) == 0


def test_jobs_of_one_key_that_wait_run_together_up_to_the_limit(devices):
    sizes = []
    with Worker(devices.open, max_batch=4) as worker:
        with Gate(worker):
            run = batches_of(sizes)
            jobs = [worker.submit_batch(BatchJob("detect", 1, run, n)) for n in range(6)]
            other = worker.submit_batch(BatchJob("classify", 1, run, 7))
        results = [job.result(5) for job in jobs]

    assert results == [0, 10, 20, 30, 40, 50]
    assert other.result(5) == 70
    assert sizes == [4, 2, 1]


def test_items_count_not_jobs_and_a_large_job_runs_alone(devices):
    sizes = []
    with Worker(devices.open, max_batch=4) as worker:
        with Gate(worker):
            run = batches_of(sizes)
            jobs = [worker.submit_batch(BatchJob("detect", count, run, count)) for count in (9, 3, 1, 2)]
        for job in jobs:
            job.result(5)

    assert sizes == [1, 2, 1]


class Client:
    """Another thread that looks at a picture until the `with` is left, and submits when it is told to."""

    def __init__(self, worker):
        self.worker, self.submits, self.leaves, self.is_there = worker, [], threading.Event(), threading.Event()
        self.due = threading.Condition()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        assert self.is_there.wait(5)
        return self

    def __exit__(self, *_):
        with self.due:
            self.leaves.set()
            self.due.notify()
        self.thread.join(5)

    def run(self):
        with self.worker.client(), self.due:
            self.is_there.set()
            while True:
                self.due.wait_for(lambda: self.submits or self.leaves.is_set(), 5)
                if not self.submits:
                    return
                done, job = self.submits.pop()
                done.append(self.worker.submit_batch(job))
                self.due.notify()

    def submit(self, job):
        """The future of a job that this client's thread submitted."""
        done = []
        with self.due:
            self.submits.append((done, job))
            self.due.notify()
            assert self.due.wait_for(lambda: done, 5)
        return done[0]


def test_a_batch_waits_for_a_client_that_is_at_work_and_runs_once_all_are_here(devices):
    sizes = []
    with (
        Worker(devices.open, clock=SteppedClock(), latency_s=60.0) as worker,
        Client(worker) as one,
        Client(worker) as two,
    ):
        first = one.submit(BatchJob("detect", 1, batches_of(sizes), 1))
        with pytest.raises(TimeoutError):
            first.result(0.05)
        second = two.submit(BatchJob("detect", 1, batches_of(sizes), 2))

        assert (first.result(2), second.result(2)) == (10, 20)
    assert sizes == [2]


def test_a_batch_waits_no_longer_than_the_latency(devices):
    sizes, clock = [], SteppedClock()
    with Worker(devices.open, clock=clock, latency_s=5.0) as worker, Client(worker) as one, Client(worker):
        alone = one.submit(BatchJob("detect", 1, batches_of(sizes), 3))
        clock.step(6)
        worker.submit_batch(BatchJob("classify", 1, batches_of([]), 4))  # at which the worker looks at its clock

        assert alone.result(2) == 30
    assert sizes == [1]


def test_nobody_waits_for_a_client_that_has_asked_already_or_has_gone_or_is_waiting_itself(devices):
    sizes = []
    with Worker(devices.open, clock=SteppedClock(), latency_s=60.0) as worker, Client(worker) as one:
        with Client(worker) as two:
            job = two.submit(BatchJob("detect", 1, batches_of(sizes), 1))
            one.submit(BatchJob("detect", 1, batches_of(sizes), 2)).result(2)
            job.result(2)
            assert one.submit(BatchJob("detect", 1, batches_of(sizes), 3)).result(2) == 30

            with Gate(worker):
                classify = one.submit(BatchJob("classify", 1, batches_of(sizes), 4))
                track = two.submit(BatchJob("track", 1, batches_of(sizes), 5))
            assert classify.result(2) == 40  # though client two has not asked for it: it can't, its own job waits
            one.submit(BatchJob("track", 1, batches_of(sizes), 6)).result(2)
            assert track.result(2) == 50
            waits = one.submit(BatchJob("segment", 1, batches_of(sizes), 7))
            with pytest.raises(TimeoutError):
                waits.result(0.05)
        assert waits.result(2) == 70

    assert sizes == [2, 1, 1, 2, 1]


def test_a_client_alone_and_a_job_without_a_key_never_wait(devices):
    with Worker(devices.open, clock=SteppedClock(), latency_s=60.0) as worker, worker.client():
        job = worker.submit_batch(BatchJob("detect", 1, batches_of([]), 1))
        assert job.result(2) == 10

        with Client(worker):
            assert worker.submit(lambda device: device).result(2) == 0


def test_a_batch_that_does_not_fit_is_run_in_halves(devices):
    sizes = []

    def run(_device, payloads):
        sizes.append(len(payloads))
        if len(payloads) > 1 or payloads == [3]:
            raise DeviceBusy("device out of memory")
        return payloads

    with Worker(devices.open) as worker:
        with Gate(worker):
            jobs = [worker.submit_batch(BatchJob("detect", 1, run, n)) for n in range(4)]

        assert [job.result(5) for job in jobs[:3]] == [0, 1, 2]
        with pytest.raises(DeviceBusy):
            jobs[3].result(5)

    assert sizes == [4, 2, 1, 1, 2, 1, 1]


def lost_on(*numbers):
    def job(device):
        if device in numbers:
            raise DeviceLost(f"device {device} is gone")
        return device

    return job


def test_a_lost_device_is_opened_again_and_the_job_runs_there(devices):
    with Worker(devices.open) as worker:
        assert worker.submit(lost_on(0)).result(5) == 1
        assert worker.submit(lambda device: device).result(5) == 1

    assert devices.opened == devices.closed == [0, 1]


def test_a_device_lost_twice_is_given_up_with_one_loud_call(devices):
    told = []
    with Worker(devices.open, on_lost=told.append) as worker:
        with Gate(worker):
            jobs = [worker.submit(lost_on(0, 1)), worker.submit(lambda device: device)]

        for job in jobs:
            with pytest.raises(DeviceLost, match="device 1 is gone"):
                job.result(5)

    assert [str(each) for each in told] == ["device 1 is gone"]
    assert devices.opened == [0, 1]


def test_a_device_that_is_lost_again_soon_is_given_up_and_one_lost_later_is_not():
    devices, clock, told = Devices(), SteppedClock(), []
    with Worker(devices.open, on_lost=told.append, clock=clock) as worker:
        assert worker.submit(lost_on(0)).result(5) == 1
        clock.step(CALM_S)
        assert worker.submit(lost_on(1)).result(5) == 2
        with pytest.raises(DeviceLost):
            worker.submit(lost_on(2)).result(5)

    assert len(told) == 1
    assert devices.opened == [0, 1, 2]


def test_a_device_that_cannot_be_opened_again_is_lost_with_both_reasons():
    devices = Devices((1, NoDeviceError("no device")))
    with (
        Worker(devices.open) as worker,
        pytest.raises(DeviceLost, match="device 0 is gone; opened again: no device"),
    ):
        worker.submit(lost_on(0)).result(5)


def test_a_device_that_cannot_be_opened_at_the_start_says_so_at_the_start():
    with pytest.raises(NoDeviceError), Worker(Devices((0, NoDeviceError("no device"))).open):
        pass


def test_leaving_finishes_what_waits_and_takes_no_more(devices):
    done = []
    with Worker(devices.open) as worker, Gate(worker):
        jobs = [worker.submit(done.append) for _ in range(5)]

    assert done == [0] * 5
    assert all(job.done() for job in jobs)
    assert devices.closed == [0]
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(done.append)


def test_the_queue_is_bounded_and_who_submits_more_waits(devices):
    with Worker(devices.open, bound=2) as worker:
        with Gate(worker) as gate:
            jobs = [worker.submit(lambda device: device) for _ in range(2)]
            late = []
            thread = threading.Thread(target=lambda: late.append(worker.submit(lambda device: device)))
            thread.start()
            thread.join(0.2)
            assert thread.is_alive()
            assert worker.waiting == 2
            gate.go.set()
            thread.join(5)

        assert [job.result(5) for job in (*jobs, *late)] == [0, 0, 0]


def test_a_cancelled_job_does_not_run(devices):
    ran = []
    with Worker(devices.open) as worker:
        with Gate(worker):
            job = worker.submit(ran.append)
            assert job.cancel()
        worker.submit(lambda device: device).result(5)

        with pytest.raises(CancelledError):
            job.result(0)
    assert ran == []


def test_a_job_that_submits_a_job_is_told_instead_of_hanging(devices):
    with Worker(devices.open) as worker, pytest.raises(RuntimeError, match="wait for itself"):
        worker.submit(lambda _device: worker.submit(lambda device: device).result()).result(5)


def test_a_wrong_number_of_results_is_an_error_for_all(devices):
    with Worker(devices.open) as worker, pytest.raises(ValueError, match="1 jobs gave 0 results"):
        worker.submit_batch(BatchJob("x", 1, lambda _device, _payloads: [])).result(5)


def test_many_clients_get_their_own_results(devices):
    with Worker(devices.open, bound=3) as worker:
        found = {}

        def client(name):
            with worker.client():
                found[name] = [
                    worker.submit_batch(BatchJob("detect", 1, batches_of([]), name * 100 + n)).result(10)
                    for n in range(20)
                ]

        threads = [threading.Thread(target=client, args=(name,)) for name in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    assert found == {name: [(name * 100 + n) * 10 for n in range(20)] for name in range(6)}


def test_any_number_of_jobs_that_nobody_wants_any_more_is_passed_over(devices):
    with Worker(devices.open, bound=3000) as worker:
        with Gate(worker):
            for future in [worker.submit(lambda device: device) for _ in range(2000)]:
                future.cancel()
            last = worker.submit(lambda _device: "done")

        assert last.result(5) == "done"
