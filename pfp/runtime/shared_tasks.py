"""Independent tasks over one large value that all of them read: in this process, or on Ray.

Not for stages, whose rows are committed one by one: for steps such as a join, of which only the
whole is a result. Results come in the order of the tasks, whatever the order in which they are
done, so that what is made of them is the same on one machine and on many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

from pfp.errors import InputError

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")
S_co = TypeVar("S_co", covariant=True)

# Ray's default for tasks is 3; machines that may be taken away at any time go more often.
MAX_RETRIES: Final = 10
# One task runs on each CPU and one waits for it; more results would only fill the store.
TASKS_PER_CPU: Final = 2


class SharedTasks(Protocol[S_co]):
    """Runs functions of ``shared``, which nobody may change, and of one task each."""

    @property
    def shared(self) -> S_co:
        """The value that all tasks read."""

    def map(
        self, function: Callable[[Any, T], R], tasks: Iterable[T], *, memory_bytes: int = 0
    ) -> Iterator[R]:
        """``function(shared, task)`` of each task, in their order.

        ``function`` must live in an importable module, and gives the same for the same task: a task
        whose worker is lost is done again. ``memory_bytes`` is what one of them needs beside
        ``shared``.
        """


class TasksHere(Generic[S]):
    """One task after the other, in this process."""

    def __init__(self, shared: S) -> None:
        self.shared: Final = shared

    def map(
        self,
        function: Callable[[S, T], R],
        tasks: Iterable[T],
        *,
        memory_bytes: int = 0,  # noqa: ARG002 - one task at a time has what there is
    ) -> Iterator[R]:
        """As in ``SharedTasks``."""
        return (function(self.shared, task) for task in tasks)


class TasksOnRay(Generic[S]):
    """As many tasks at a time as the cluster that this process is connected to has CPUs.

    ``shared`` is put into the object store once; numpy arrays in it are not copied again, by this
    process or by workers, of which those of one machine read the same memory.
    """

    def __init__(self, shared: S) -> None:
        import ray

        self._reference = ray.put(shared)
        self.shared: Final[S] = ray.get(self._reference)

    def map(
        self, function: Callable[[S, T], R], tasks: Iterable[T], *, memory_bytes: int = 0
    ) -> Iterator[R]:
        """As in ``SharedTasks``; raises what a task raises, InputError if workers keep dying."""
        import ray

        call: Any = ray.remote(_call).options(
            num_cpus=1, max_retries=MAX_RETRIES, memory=min(memory_bytes, _largest_memory())
        )
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = TASKS_PER_CPU * max(1, int(total.get("CPU", 1)))
        waiting: deque[Any] = deque()
        try:
            for task in tasks:
                if len(waiting) == room:
                    yield _result(waiting.popleft())
                waiting.append(call.remote(self._reference, function, task))
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for left in waiting:
                ray.cancel(left)


def _call(shared: S, function: Callable[[S, T], R], task: T) -> R:
    return function(shared, task)


def _largest_memory() -> int:
    """Bytes of the machine that has most for tasks: one that asks for more would wait for ever."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return int(max(node["Resources"].get("memory", 0) for node in nodes if node["Alive"]))


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        message = (
            f"a task was given up after its worker died {MAX_RETRIES + 1} times "
            f"({type(error).__name__}); give machines with more memory per CPU, or --engine local"
        )
        raise InputError(message) from error
