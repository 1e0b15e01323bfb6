"""What the procedure decides, one function a decision. None of them calls the host."""

import struct
from dataclasses import dataclass
from enum import Enum, auto

from componentize_py_types import Err
from wit_world.imports import types
from wit_world.imports.containers import CoreAttribute, EndedTransaction, MetadataRow, RenewedGroup
from wit_world.imports.controller import StreamState, TransactionCounter
from wit_world.imports.report import LostRange
from wit_world.imports.storage import Measurement, Segment


@dataclass
class Policy:
    """What the operator set."""

    whole_events: bool
    create_unrecorded: bool
    move_leftovers: bool
    renew_reader_groups: bool
    end_transactions: bool
    backup_place: str

    @staticmethod
    def of(settings: dict[str, str]) -> "Policy":
        return Policy(
            whole_events=settings["tail"] == "whole-events",
            create_unrecorded=settings["unrecorded"] == "create",
            move_leftovers=settings["leftovers"] == "move-aside",
            renew_reader_groups=settings["reader-groups"] == "renew",
            end_transactions=settings["open-transactions"] == "abort",
            backup_place=settings["backup-place"].rstrip("/"),
        )


class Fate(Enum):
    """What becomes of a segment."""

    CREATE = auto()
    # Left out although it exists, because it would harm the new cluster; see `HARMFUL_KINDS`.
    DROP = auto()
    # Left out because its transaction was not finished.
    UNFINISHED = auto()
    # It had been deleted before the disaster.
    DELETED = auto()
    # Nobody knows whether it had been.
    UNRECORDED = auto()


# Kinds of segments that must not live again, and why.
HARMFUL_KINDS = {
    "garbage-collection-queue": "its entries name objects that the new cluster may own again",
    "controller-reader-group": (
        "its readers are gone and would own their segments for ever; the controller creates it anew"
    ),
    "transient": "it does not outlive the connection of its client",
}


def fate(segment: Segment, policy: Policy) -> Fate:
    """Whether a segment lives again. The order of the questions matters."""
    if segment.standing == "deleted":
        return Fate.DELETED
    if segment.kind in HARMFUL_KINDS:
        return Fate.DROP
    if segment.standing == "live":
        unfinished = segment.kind == "transaction" and policy.end_transactions
        return Fate.UNFINISHED if unfinished else Fate.CREATE
    return Fate.CREATE if policy.create_unrecorded else Fate.UNRECORDED


def is_to_be_renewed(segment: Segment, policy: Policy) -> bool:
    """Whether a segment is the state of a user's reader group, which has to begin anew: its readers are gone or remember
    more than is left, and its offsets may lie behind the end of what they read."""
    return policy.renew_reader_groups and segment.kind == "reader-group"


def renewal(group: RenewedGroup) -> tuple[str, str]:
    """What became of a reader group, and why."""
    if group.outcome == "empty":
        return (
            "left as it is",
            "its state is empty; create the group once more with `ReaderGroupManager.createReaderGroup`",
        )
    if group.outcome == "sealed":
        return "left as it is", "it is sealed, since the group was being deleted; delete it once more"
    if group.outcome != "renewed":
        return (
            "left as it is",
            "its state cannot be read; stop its readers and set it back with `ReaderGroup.resetReaderGroup`",
        )
    readers = "it had no readers"
    if group.readers:
        readers = f"the readers {', '.join(group.readers)} are taken out and have to be created anew"
    return "begins anew", readers + how_far_ahead(group)


def how_far_ahead(group: RenewedGroup) -> str:
    segments = "1 segment" if group.offsets_ahead == 1 else f"{group.offsets_ahead} segments"
    if group.changes_ahead:
        return (
            f"; its last {group.changes_ahead} changes speak of segments that are not there and are left out; "
            f"in {segments} it goes on at the end"
        )
    if group.offsets_ahead:
        return f"; in {segments} it had come further than what is left, and goes on at the end"
    return ""


def ending(transaction: EndedTransaction) -> tuple[str, str]:
    """How a transaction that was under way ended, and why."""
    match transaction.outcome, transaction.status:
        case "committed", "committing":
            return "ended as committed", "its commit had begun"
        case "committed", _:
            return "ended as committed", "its events are part of a segment, or sealed to become one"
        case "aborted", "aborting":
            return "ended as aborted", "its abort had begun"
        case "aborted", _:
            return (
                "ended as aborted",
                "it was open, and nobody can tell whether all its events had reached Tier-2",
            )
        case _:
            return (
                "ended, nobody knows how",
                "it was open and has no segments of its own: they were merged, or never reached Tier-2",
            )


def is_merged(segment: Segment) -> bool:
    """Whether the host made the content of a transaction part of the segment that it was committed to."""
    return "merged-by-recovery" in segment.findings


def may_be_torn(segment: Segment, policy: Policy) -> bool:
    """Whether the end of a segment has to be looked at. A table must end with a whole entry, whatever the operator set:
    else the store refuses it. A sealed segment is no exception: its seal can be older than the loss of its tail."""
    if segment.length <= segment.start_offset:
        return False
    if segment.kind in ("key-value-table", "controller-table"):
        return True
    return policy.whole_events and segment.kind in ("stream", "transaction", "reader-group", "mark")


def kept_length(segment: Segment, measure: Measurement | None) -> int:
    """How many bytes to keep. Content that is neither events nor table entries has no inside to respect."""
    if measure is not None and measure.content in ("events", "table", "damaged-table"):
        return min(measure.whole_length, segment.length)
    return segment.length


def is_damaged(measure: Measurement | None) -> bool:
    """Whether the end of a table is no work of a crash: its bytes stop being entries before it."""
    return measure is not None and measure.content == "damaged-table"


def lost_ranges(segment: Segment, kept: int, measure: Measurement | None) -> list[LostRange]:
    """What of a segment is lost although it lives again. Each range has one reason: bytes cut off, bytes that the
    storage had recorded, bytes that only the old container metadata knew of."""
    recorded = segment.recorded_length or 0
    row = segment.row_length or 0
    ranges = [
        (kept, segment.length, "damaged" if is_damaged(measure) else "torn"),
        (segment.length, recorded, "missing-object"),
        (max(segment.length, recorded), row, "unflushed"),
    ]
    return [
        LostRange(segment.container, segment.name, first, end, reason)
        for first, end, reason in ranges
        if first < end
    ]


def whole_segment_lost(segment: Segment) -> LostRange:
    """The loss of a segment that is not created."""
    return LostRange(segment.container, segment.name, segment.start_offset, segment.length, "unrecorded")


def new_start_offset(segment: Segment, kept: int, row: MetadataRow) -> int | None:
    """Where a segment has to start, if not where the storage says. The later truncation is the true one."""
    start_offset = min(row.start_offset, kept)
    return start_offset if start_offset > segment.start_offset else None


def attributes_to_copy(attributes: list[CoreAttribute]) -> list[CoreAttribute]:
    """Core attributes without those that describe the old container's own state: 7 and 8 would stop attribute indexes
    from being written, 10 and 11 name snapshots that are no longer in place."""
    return [attribute for attribute in attributes if attribute.id not in (7, 8, 10, 11)]


def safe_counter(highest: TransactionCounter | None) -> TransactionCounter:
    """A counter value above every transaction id that can ever have been issued: the upper half grows by one, because
    ids above the highest one found may have been issued, used and forgotten."""
    high = highest.high if highest else 0
    if high == 2**31 - 1:
        raise Err(types.Error_Conflict(f"the transaction counter stands at its end, {high}; it cannot be raised"))
    return TransactionCounter(high + 1, 0)


# The counter as its ZNode holds it: 32 bits, then 64 bits, both signed, the highest byte first.
COUNTER_FORMAT = struct.Struct(">iq")


def encode_counter(counter: TransactionCounter) -> bytes:
    """The counter as its ZNode holds it."""
    return COUNTER_FORMAT.pack(counter.high, counter.low)


def counter_is_below(data: bytes, safe: TransactionCounter) -> bool:
    """Whether a counter ZNode has to be raised. One that no controller could read has to be replaced."""
    if len(data) != COUNTER_FORMAT.size:
        return True
    return COUNTER_FORMAT.unpack(data) < (safe.high, safe.low)


def needs_retention_node(stream: StreamState) -> bool:
    """Whether the controller has to find a stream for retention."""
    return stream.retention is not None and stream.state not in ("creating", "sealed")
