package dr.lab;

import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.ScalingPolicy;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import io.pravega.client.tables.KeyValueTable;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/**
 * {@code More --controller URI --truth FILE --report FILE}: goes on working with a cluster, on old and new streams, and updates
 * the truth, so that the checker can be run afterwards.
 */
public final class More {
    private final Cluster cluster;
    private final Truth truth;
    private final Writing writing;
    private final Checks checks = new Checks();
    private final int round;

    private More(Cluster cluster, Truth truth) {
        this.cluster = cluster;
        this.truth = truth;
        writing = new Writing(cluster, truth);
        round = truth.moreRuns;
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        More more = new More(new Cluster(given.get("--controller")), Truth.read(given.get("--truth")));
        more.run();
        more.truth.moreRuns++;
        more.truth.write(given.get("--truth"));
        more.checks.finish(given.get("--report"), Map.of());
    }

    private void run() {
        oldStreams();
        newStreams();
        transactions();
        tables();
        checks.check("new spares", () -> {
            Workload.spares(writing, round + 1);
            Workload.spareTable(writing, round + 1);
            return "for round " + (round + 1);
        });
    }

    private Truth.StreamTruth spare(String purpose) {
        return truth.stream(Workload.ALPHA, "spare-" + purpose + "-" + round);
    }

    private void oldStreams() {
        for (String name : List.of("fixed", "scaled", "truncated", "scaled-truncated", "never-written", "emptied")) {
            checks.check("append to old stream " + name, () -> append(truth.stream(Workload.ALPHA, name)));
        }
        checks.check("scale an old stream", () -> {
            Truth.StreamTruth stream = spare("scale");
            writing.scale(stream, 3);
            append(stream);
            writing.scale(stream, 2);
            return append(stream) + ", epochs " + stream.epochs.keySet();
        });
        checks.check("seal an old stream", () -> {
            Truth.StreamTruth stream = spare("seal");
            writing.seal(stream);
            boolean accepted = accepts(stream);
            boolean sealed = cluster.info(stream.scope, stream.name).isSealed();
            return Checks.yes(sealed && !accepted, "sealed " + sealed + ", write accepted " + accepted);
        });
        checks.check("delete an old stream", () -> {
            Truth.StreamTruth stream = spare("delete");
            writing.delete(stream);
            return Checks.same(false, cluster.controller.checkStreamExists(stream.scope, stream.name)
                .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS));
        });
        truth.synchronizers.forEach(synchronizer -> checks.check("go on with synchronizer " + synchronizer.path(), () ->
            new Synchronizers(cluster).goOn(synchronizer)));
        checks.check("truncate an old stream", () -> {
            Truth.StreamTruth stream = spare("truncate");
            writing.truncateHere(stream);
            return append(stream);
        });
        checks.check("change the configuration of an old stream", () -> {
            Truth.StreamTruth stream = truth.stream(Workload.BETA, "updated");
            StreamConfiguration changed = cluster.controller.getStreamConfiguration(stream.scope, stream.name)
                .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS).toBuilder().tag("more-" + round).build();
            Cluster.require(cluster.streams.updateStream(stream.scope, stream.name, changed), "update a stream");
            stream.configuredAs(changed);
            return Checks.same(stream.tags, new java.util.TreeSet<>(cluster.streams.getStreamTags(stream.scope, stream.name)));
        });
    }

    private boolean accepts(Truth.StreamTruth stream) {
        try (EventStreamWriter<byte[]> writer = writing.writer(stream)) {
            writer.writeEvent("key", Events.make(stream.path(), "must-not-be", 0, 50)).get(10, TimeUnit.SECONDS);
            return true;
        } catch (Exception refused) {
            return false;
        }
    }

    /** Appends and reads the whole stream back, old and new events. */
    private String append(Truth.StreamTruth stream) throws Exception {
        writing.events(stream, 5, 25);
        List<Events.Parsed> read = Reading.parse(
            Reading.bySegment(cluster, stream.scope, stream.name, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED));
        String difference = Reading.difference(stream.events, Reading.byKey(read, stream.path()));
        return difference == null ? read.size() + " events" : Checks.BAD + difference;
    }

    private void newStreams() {
        String scope = "more-" + round;
        checks.check("new scope", () -> {
            writing.scope(scope);
            return scope;
        });
        checks.check("new stream in a new scope, through a new reader group", () -> {
            Truth.StreamTruth stream = writing.stream(scope, "new", Workload.fixed(2));
            writing.events(stream, 3, 30);
            Reading.Result read = Reading.throughGroup(cluster, scope, List.of("new"), stream.count());
            String difference = Reading.difference(stream.events, Reading.byKey(read.events, stream.path()));
            return difference == null ? read.events.size() + " events" : Checks.BAD + difference;
        });
        checks.check("new stream in an old scope: scale, truncate", () -> {
            StreamConfiguration configuration = StreamConfiguration.builder()
                .scalingPolicy(ScalingPolicy.fixed(1)).tag("more").build();
            Truth.StreamTruth stream = writing.stream(Workload.ALPHA, "new-" + round, configuration);
            writing.events(stream, 3, 20);
            writing.scale(stream, 2);
            writing.events(stream, 3, 20);
            writing.truncateHere(stream);
            return append(stream);
        });
        checks.check("new stream: seal and delete", () -> {
            Truth.StreamTruth stream = writing.stream(Workload.ALPHA, "new-deleted-" + round, Workload.fixed(1));
            writing.events(stream, 2, 10);
            writing.delete(stream);
            return "deleted";
        });
        checks.check("a deleted stream's name can be used again", () -> {
            String name = "again-" + round;
            Truth.StreamTruth first = writing.stream(Workload.ALPHA, name, Workload.fixed(1));
            writing.events(first, 2, 10);
            writing.delete(first);
            Truth.StreamTruth second = writing.stream(Workload.ALPHA, name, Workload.fixed(1));
            truth.deletedStreams.remove(second.path());
            return append(second);
        });
    }

    private void transactions() {
        Truth.StreamTruth stream = truth.stream(Workload.ALPHA, "transactions");
        checks.check("new transactions commit and abort, with ids never seen before", () -> {
            Set<String> known = truth.transactions.stream().map(old -> old.id).collect(Collectors.toCollection(HashSet::new));
            int before = known.size();
            try (TransactionalEventStreamWriter<byte[]> writer = writing.transactionalWriter(stream.scope, stream.name)) {
                for (int i = 0; i < 3; i++) {
                    Writing.Pending committed = writing.new Pending(stream, writer, 5);
                    Writing.Pending aborted = writing.new Pending(stream, writer, 5);
                    Cluster.require(known.add(committed.record.id), "an id that was used before: " + committed.record.id);
                    Cluster.require(known.add(aborted.record.id), "an id that was used before: " + aborted.record.id);
                    committed.commit();
                    aborted.abort();
                }
            }
            return before + " old ids, 6 new ones";
        });
        checks.check("an open transaction of before can be aborted", () -> {
            Truth.TransactionTruth open = truth.transactions.stream()
                .filter(transaction -> transaction.status.equals("OPEN")).findFirst().orElse(null);
            if (open == null) {
                // Earlier rounds used them up; a fresh one keeps the check honest.
                try (TransactionalEventStreamWriter<byte[]> writer = writing.transactionalWriter(stream.scope, stream.name)) {
                    open = writing.new Pending(stream, writer, 3).record;
                }
            }
            cluster.controller.abortTransaction(Stream.of(open.scope, open.stream), UUID.fromString(open.id))
                .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
            writing.awaitStatus(open, "ABORTED");
            open.status = "ABORTED";
            return open.id;
        });
        checks.check("append to the stream with transactions", () -> append(stream));
    }

    private void tables() {
        checks.check("insert, update, remove in an old table", () -> {
            Truth.TableTruth table = truth.table(Workload.TABLES, "two-part-keys");
            try (KeyValueTable open = writing.open(table)) {
                for (int i = 0; i < 6; i++) {
                    writing.insert(table, open, 10_000 + round * 100 + i);
                }
                writing.put(table, open, 0, 2 + round);
                writing.put(table, open, 10_000 + round * 100, 2);
                writing.remove(table, open, 10_001 + round * 100);
            }
            return table.entries.size() + " entries";
        });
        checks.check("new table", () -> {
            Truth.TableTruth table = writing.table(Workload.TABLES, "new-" + round, 2, 4, 0);
            try (KeyValueTable open = writing.open(table)) {
                for (int i = 0; i < 10; i++) {
                    writing.insert(table, open, i);
                }
            }
            return table.entries.size() + " entries";
        });
        checks.check("delete an old table", () -> {
            Truth.TableTruth table = truth.table(Workload.TABLES, "spare-" + round);
            Cluster.require(cluster.tables.deleteKeyValueTable(table.scope, table.name), "delete table " + table.path());
            truth.tables.remove(table);
            truth.deletedTables.add(table.path());
            return table.path();
        });
    }
}
