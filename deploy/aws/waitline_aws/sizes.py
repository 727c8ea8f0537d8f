"""Sizes of an installation: what is started, and between which limits it scales."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tasks:
    """Tasks of a service.

    Attributes:
        cpu: Units of CPU of a task; 1,024 are one virtual CPU.
        memory_mib: Memory of a task. Fargate allows fixed combinations with `cpu`.
        workers: Worker processes in a task: one per virtual CPU.
        least: Fewest tasks in all lanes together; each lane rounds its part up.
        most: Most tasks, likewise.
    """

    cpu: int
    memory_mib: int
    workers: int
    least: int
    most: int


@dataclass(frozen=True)
class Size:
    """A size.

    Attributes:
        name: Its name.
        queue: Tasks of the queue service.
        booking: Tasks of the booking service.
        admitter: Tasks of the admitter.
        valkey_node: Type of each of the six Valkey nodes.
        database: Class of the database's two instances, without `db.`.
        database_gib: Storage of each instance.
        database_connections: Connections that the class allows by default, less 28 for operators;
            every booking worker opens twelve.
    """

    name: str
    queue: Tasks
    booking: Tasks
    admitter: Tasks
    valkey_node: str
    database: str
    database_gib: int
    database_connections: int


SIZES = {
    size.name: size
    for size in (
        Size(
            name="small",
            queue=Tasks(512, 1_024, 1, least=6, most=20),
            booking=Tasks(512, 1_024, 1, least=6, most=20),
            admitter=Tasks(256, 512, 1, least=2, most=3),
            valkey_node="cache.t4g.medium",
            database="t4g.medium",
            database_gib=50,
            database_connections=380,
        ),
        Size(
            name="large",
            queue=Tasks(2_048, 4_096, 2, least=12, most=60),
            booking=Tasks(2_048, 4_096, 2, least=12, most=60),
            admitter=Tasks(1_024, 2_048, 1, least=2, most=4),
            valkey_node="cache.r7g.xlarge",
            database="r7g.2xlarge",
            database_gib=200,
            database_connections=4_970,
        ),
    )
}
