"""What a recovery procedure in Python is written with: failures as values, listings as generators, settings by name."""

from componentize_py_types import Err
from wit_world import Task
from wit_world.imports import containers, controller, report, storage, types

# Most rows that the host puts into one page.
PAGE_ROWS = 4096


def failures_as_values(export):
    """For every export that can fail: what is raised in it becomes an error of the contract.

    What the host answered is passed on as it is. Any other exception is a mistake of the procedure itself; without this
    it would end the instance with a trap, and its message would be lost.
    """

    def answering(*arguments):
        try:
            return export(*arguments)
        except Err:
            raise
        except BaseException as mistake:
            raise Err(types.Error_Failed(in_words(mistake))) from None

    return answering


def in_words(mistake: BaseException) -> str:
    """Type, message and the places that the exception went through.

    Not by the module `traceback`: it looks for the source files, and a procedure has no files to look into.
    """
    places = []
    step = mistake.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        places.append(f"{code.co_name} ({code.co_filename.rsplit('/', 1)[-1]}:{step.tb_lineno})")
        step = step.tb_next
    return f"{type(mistake).__name__}: {mistake}; in {', '.join(places[-8:])}"


def settings_by_name(settings: list[types.Setting]) -> dict[str, str]:
    """The host has checked them already: there is one for each parameter that the procedure describes."""
    return {setting.name: setting.value for setting in settings}


def task_per_container(selected: list[int]) -> list[Task]:
    """One task for each selected container, or for every container if none is selected."""
    by_id = {container.id: container for container in storage.containers()}
    for container in selected:
        if container not in by_id:
            problem = f"container {container} was selected, but it left nothing in Tier-2"
            raise Err(types.Error_NotFound(problem))
    return [
        Task(
            id=f"container-{container.id}",
            container=container.id,
            title=f"container {container.id}: {container.objects} objects, {container.bytes} bytes",
        )
        for container in by_id.values()
        if not selected or container.id in selected
    ]


def pages(listing):
    """The pages of a listing; it is given back to the host after the last one."""
    with listing:
        while page := listing.next_page(PAGE_ROWS):
            yield page


def segment_pages(container: int):
    """Pages of the segments of a container, by name."""
    return pages(storage.list_segments(container))


def metadata_object_pages(container: int):
    """Pages of the objects that hold the old metadata of a container, by key."""
    return pages(storage.list_metadata_objects(container))


def leftover_object_pages(container: int):
    """Pages of the objects that no segment of a container needs, by key."""
    return pages(storage.list_leftover_objects(container))


def metadata_row_pages(container: int):
    """Pages of the rows of the old metadata table of a container, by name."""
    return pages(containers.open_old_metadata(container))


def streams():
    """Streams of all containers, by scope and name; only in `finish`."""
    return (stream for page in pages(controller.list_streams()) for stream in page)


def pending_work():
    """What controllers had under way; only in `finish`."""
    return (work for page in pages(controller.list_pending_work()) for work in page)


def info(message: str):
    """Tells the operator what happens."""
    report.log(report.Level.INFO, message)


def warning(message: str):
    """Tells the operator what to look at."""
    report.log(report.Level.WARNING, message)
