"""Procedure `new-procedure`: tells how much each container holds, and changes nothing.

A beginning. What it may call is what `CAPABILITIES` names; `guest_kit.py` is what it is written with, `wit/` the contract.
"""

import guest_kit
from guest_kit import failures_as_values
from wit_world import Description, Parameter, Task
from wit_world.imports import report, types

CAPABILITIES = ["storage.containers", "storage.list-segments"]

PARAMETERS = [Parameter("kind", "text", "", "Count only segments of this kind; empty for all.")]


class WitWorld:
    """The exports of the component; the name is given by componentize-py."""

    def describe(self) -> Description:
        return Description(
            name="new-procedure",
            version="0.1.0",
            summary="Tells how much each container holds.",
            scenarios=["total-loss"],
            capabilities=CAPABILITIES,
            parameters=PARAMETERS,
        )

    @failures_as_values
    def prepare(self, _settings: list[types.Setting], selected: list[int]) -> list[Task]:
        return guest_kit.task_per_container(selected)

    @failures_as_values
    def run(self, settings: list[types.Setting], task: Task) -> None:
        """Called once for each container, in an instance of its own."""
        count(task.container, guest_kit.settings_by_name(settings)["kind"])

    @failures_as_values
    def finish(self, _settings: list[types.Setting]) -> None:
        """Called once, after the last task."""


def count(container: int, kind: str) -> None:
    segments = [
        segment
        for page in guest_kit.segment_pages(container)
        for segment in page
        if kind in ("", segment.kind)
    ]
    size = sum(segment.length - segment.start_offset for segment in segments)
    choice = f"{len(segments)} segments, {size} bytes"
    report.decision(container, f"container {container}", choice, "counted in Tier-2")
