"""Procedure `total-loss-python`: bookies and ZooKeeper are gone, only Tier-2 is left.

The built-in procedure `total-loss` once more, as an operator would write it. For each container, alone:

1. list its segments with sealed state and length;
2. open a fresh container;
3. create each segment there, and end the transactions that were under way;
4. move the old container metadata aside to a backup place, and what deleted segments have left;
5. read the old metadata table, copy start offsets and core attributes;
6. close.

When all containers are done, restore what only ZooKeeper knew and Tier-2 can tell: the transaction counter, the
streams under retention, and what was being done with streams. What is decided on the way stands in `decisions.py`, one small function each.
"""

import decisions
import guest_kit
from decisions import Fate, Policy
from guest_kit import failures_as_values
from wit_world import Description, Parameter, Task
from wit_world.imports import containers, controller, coordination, report, storage, types
from wit_world.imports.containers import AttributeUpdate, FreshContainer, NewSegment, Truncation
from wit_world.imports.storage import Measurement, Segment

PARAMETERS = [
    Parameter(
        "tail",
        "choice:whole-events|as-is",
        "whole-events",
        "What to do with a last event that is only half there: cut it off, or keep its bytes as they are.",
    ),
    Parameter(
        "unrecorded",
        "choice:report|create",
        "report",
        "Objects that no metadata names: report them as lost, or create segments from them.",
    ),
    Parameter(
        "leftovers",
        "choice:move-aside|leave",
        "move-aside",
        "Objects that no segment needs any more: move them to the backup place, or leave them where they are.",
    ),
    Parameter(
        "reader-groups",
        "choice:renew|as-is",
        "renew",
        "The state of reader groups: let it begin anew at the newest offsets that are left, without readers, or keep its "
        "bytes as they are.",
    ),
    Parameter(
        "open-transactions",
        "choice:abort|as-is",
        "abort",
        "Transactions under way: end them, as committed if their commit had begun and else as aborted, or leave them as "
        "they are.",
    ),
    Parameter(
        "backup-place",
        "text",
        "_dr/moved-aside",
        "Where in Tier-2 the old container metadata is moved to; below `_dr/`.",
    ),
]

# The functions that this procedure calls. Everything else is denied to it.
CAPABILITIES = [
    "storage.containers",
    "storage.list-segments",
    "storage.measure",
    "storage.list-metadata-objects",
    "storage.list-leftover-objects",
    "storage.move-aside",
    "containers.open-fresh-container",
    "containers.open-old-metadata",
    "controller.list-streams",
    "controller.highest-transaction-counter",
    "controller.list-pending-work",
    "coordination.get",
    "coordination.create",
    "coordination.set",
]


class WitWorld:
    """The exports of the component; the name is given by componentize-py."""

    def describe(self) -> Description:
        return Description(
            name="total-loss-python",
            version="0.1.0",
            summary="Builds all containers anew from Tier-2 after the loss of all bookies and ZooKeeper; in Python.",
            scenarios=["total-loss"],
            capabilities=CAPABILITIES,
            parameters=PARAMETERS,
        )

    @failures_as_values
    def prepare(self, _settings: list[types.Setting], selected: list[int]) -> list[Task]:
        return guest_kit.task_per_container(selected)

    @failures_as_values
    def run(self, settings: list[types.Setting], task: Task) -> None:
        recover(task.container, Policy.of(guest_kit.settings_by_name(settings)))

    @failures_as_values
    def finish(self, _settings: list[types.Setting]) -> None:
        raise_transaction_counter()
        put_streams_under_retention()
        hand_over_pending_work()


def recover(container: int, policy: Policy) -> None:
    """The runbook for one container. Left by an error, the fresh container is forgotten."""
    with containers.open_fresh_container(container) as fresh:
        created = create_segments(fresh, container, policy)
        if policy.end_transactions:
            end_transactions(fresh, container)
        move_old_metadata_aside(container, policy)
        if policy.move_leftovers:
            move_leftovers_aside(container, policy)
        copy_old_metadata(fresh, container, created)
        image = fresh.close()
    guest_kit.info(
        f"container {container}: {image.segments} segments in a log of {image.operations} operations "
        f"and {image.log_bytes} bytes"
    )


def create_segments(fresh: FreshContainer, container: int, policy: Policy) -> dict[str, tuple[Segment, int]]:
    """Creates every segment that is to live again, page by page. Returns them by name, with the length that was kept."""
    created = {}
    left_out = 0
    for page in guest_kit.segment_pages(container):
        wanted = [segment for segment in page if decisions.fate(segment, policy) == Fate.CREATE]
        others = [segment for segment in page if decisions.fate(segment, policy) != Fate.CREATE]
        for segment in others:
            report_left_out(segment, policy)
        report_merged(container, others, policy)
        left_out += len(others)

        measures = measure_tails(container, wanted, policy)
        lengths = {segment.name: decisions.kept_length(segment, measures.get(segment.name)) for segment in wanted}
        for segment in wanted:
            report_kept(segment, lengths[segment.name], measures.get(segment.name))
        fresh.create_segments([NewSegment(each.name, each.sealed, lengths[each.name]) for each in wanted])
        renew_reader_groups(fresh, wanted, policy)

        created.update((segment.name, (segment, lengths[segment.name])) for segment in wanted)
        report.progress(len(created), 0)
    guest_kit.info(f"container {container}: {len(created)} segments created, {left_out} left out")
    return created


def measure_tails(container: int, segments: list[Segment], policy: Policy) -> dict[str, Measurement]:
    """Measures the segments whose tail may be torn; the others are not in the answer."""
    names = [segment.name for segment in segments if decisions.may_be_torn(segment, policy)]
    return dict(zip(names, storage.measure(container, names))) if names else {}


def renew_reader_groups(fresh: FreshContainer, segments: list[Segment], policy: Policy) -> None:
    """Lets the groups of one page begin anew and says what became of each."""
    groups = [segment for segment in segments if decisions.is_to_be_renewed(segment, policy)]
    if not groups:
        return
    renewed = fresh.renew_reader_groups([segment.name for segment in groups])
    for segment, group in zip(groups, renewed):
        choice, reason = decisions.renewal(group)
        report.decision(segment.container, segment.name, choice, reason)


def end_transactions(fresh: FreshContainer, container: int) -> None:
    """Ends what the controller can no longer go on with, and says how each transaction ended."""
    for transaction in fresh.end_transactions():
        choice, reason = decisions.ending(transaction)
        report.decision(container, f"transaction {transaction.id} of {transaction.stream}", choice, reason)


def move_old_metadata_aside(container: int, policy: Policy) -> None:
    """Moves everything that holds old metadata out of the store's sight. Nothing is deleted."""
    move_aside(container, guest_kit.metadata_object_pages(container), backup_place(container, policy))


def move_leftovers_aside(container: int, policy: Policy) -> None:
    """Moves what the store had not removed yet of deleted segments, and what living ones do not need. It belongs to
    nobody, and without the old metadata nobody would know any more why."""
    place = f"{backup_place(container, policy)}.leftovers"
    moved = move_aside(container, guest_kit.leftover_object_pages(container), place)
    if moved:
        choice = f"{moved} objects moved to `{place}`"
        report.decision(container, "objects of no segment", choice, "no segment that lives needs them")


def backup_place(container: int, policy: Policy) -> str:
    """The epoch in the name keeps the backups of several disasters apart."""
    epochs = {each.id: each.highest_epoch for each in storage.containers()}
    return f"{policy.backup_place}/container-{container}.epoch-{epochs.get(container, 0)}"


def move_aside(container: int, pages, place: str) -> int:
    """Returns how many objects there were."""
    # Collected before the first one is moved, so that the listing is not read while it changes.
    collected = list(pages)
    for page in collected:
        storage.move_aside(container, [each.key for each in page], place)
    return sum(len(page) for page in collected)


def copy_old_metadata(fresh: FreshContainer, container: int, created: dict[str, tuple[Segment, int]]) -> None:
    """Copies what only the old metadata table knows."""
    for page in guest_kit.metadata_row_pages(container):
        updates, truncations = [], []
        for row in page:
            if row.name not in created:
                continue
            segment, kept = created[row.name]
            start_offset = decisions.new_start_offset(segment, kept, row)
            if start_offset is not None:
                report_moved_start(segment, kept, start_offset, row.start_offset)
                truncations.append(Truncation(row.name, start_offset))
            if attributes := decisions.attributes_to_copy(row.attributes):
                updates.append(AttributeUpdate(row.name, attributes))
        fresh.update_attributes(updates)
        fresh.truncate_segments(truncations)


def raise_transaction_counter() -> None:
    """Makes sure that no transaction id is ever issued twice."""
    safe = decisions.safe_counter(controller.highest_transaction_counter())
    node = coordination.get("counter")
    if node is None:
        coordination.create("counter", decisions.encode_counter(safe))
    elif decisions.counter_is_below(node.data, safe):
        coordination.set("counter", decisions.encode_counter(safe), node.version)


def put_streams_under_retention() -> None:
    """The controller finds the streams that it truncates by ZNodes, which it never writes again by itself. Their content
    means nothing."""
    for stream in guest_kit.streams():
        if decisions.needs_retention_node(stream) and coordination.get(stream.retention_znode) is None:
            coordination.create(stream.retention_znode, b"")


def report_left_out(segment: Segment, policy: Policy) -> None:
    def not_created(reason: str) -> None:
        report.decision(segment.container, segment.name, "not created", reason)

    match decisions.fate(segment, policy):
        case Fate.DROP:
            not_created(decisions.HARMFUL_KINDS[segment.kind])
        case Fate.UNRECORDED:
            not_created("no metadata names its objects")
            report.loss(decisions.whole_segment_lost(segment))
        case Fate.UNFINISHED:
            not_created("its transaction was not finished")


def report_merged(container: int, left_out: list[Segment], policy: Policy) -> None:
    """What the host found to be committed is part of other segments now; only half an event at its end is not."""
    merged = [segment for segment in left_out if decisions.is_merged(segment)]
    measures = measure_tails(container, merged, policy)
    for segment in merged:
        measure = measures.get(segment.name)
        reason = "it was committed: another of its segments is merged, or sealed for it, or the controller says so"
        report.decision(container, segment.name, "merged", reason)
        for lost in decisions.lost_ranges(segment, decisions.kept_length(segment, measure), measure):
            report.loss(lost)


def report_kept(segment: Segment, kept: int, measure: Measurement | None) -> None:
    def decided(choice: str, reason: str) -> None:
        report.decision(segment.container, segment.name, choice, reason)

    if "sealed-differs" in segment.findings:
        decided("sealed", "one of storage metadata and old container metadata says sealed; seals are never taken back")
    if "sealed-by-controller" in segment.findings:
        decided(
            "sealed",
            "the controller's tables say that it was sealed and others took its place; readers go on there",
        )
    if "truncated-behind-end" in segment.findings:
        decided(
            f"created empty, to go on at {segment.length}",
            "it was truncated there, behind the last byte that Tier-2 holds; clients had given up all before",
        )
    if segment.standing != "live":
        decided("created", "no metadata names its objects, and the setting `unrecorded` is `create`")
    if kept < segment.length:
        reason = "what stands behind is only half there"
        if decisions.is_damaged(measure):
            reason = "the bytes behind are no table entries, and the store would stop at them"
        decided(f"cut to {kept} of {segment.length} bytes", reason)
    for lost in decisions.lost_ranges(segment, kept, measure):
        report.loss(lost)


def report_moved_start(segment: Segment, kept: int, start_offset: int, recorded: int) -> None:
    if start_offset < recorded:
        report.decision(
            segment.container,
            segment.name,
            "start offset moved back to the end of the segment",
            f"it was truncated at {recorded}, behind the {kept} bytes that are left",
        )


def hand_over_pending_work() -> None:
    """Creates the ZNodes by which a controller goes on with what was being done with streams. What no ZNode helps with is told to
    the operator."""
    for work in guest_kit.pending_work():
        if work.znode is None:
            guest_kit.warning(f"{work.subject}: {work.reason}")
            report.decision(None, work.subject, "left to the operator", work.reason)
        elif coordination.get(work.znode.path) is None:
            coordination.create(work.znode.path, work.znode.data)
            report.decision(None, work.subject, "handed over to the next controller", work.reason)
