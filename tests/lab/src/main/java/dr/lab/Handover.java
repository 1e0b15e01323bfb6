package dr.lab;

import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.ReaderGroupConfig;
import io.pravega.client.stream.RetentionPolicy;
import io.pravega.client.stream.ScalingPolicy;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.Transaction;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/**
 * {@code Handover --controller URI --truth FILE --phase prepare}: makes streams, and transactions that are committed, aborted and
 * open. {@code --phase work --record FILE}: commits and scales without end, and records each commit that was accepted, so that a
 * controller that is killed leaves work behind. {@code --phase check --record FILE --report FILE}: whether another controller took
 * all of it over, and does what controllers do.
 */
public final class Handover {
    private static final String SCOPE = "handover";
    private static final int COMMITTERS = 4;
    private static final int SCALED = 3;
    private static final int EVENTS = 3;
    private static final int LIMIT_SECONDS = 70;
    /** The shortest that a client takes, and the longest that the controller of the check grants. */
    private static final int LEASE_MILLISECONDS = 10_000;

    private final Cluster cluster;
    private final Truth truth;
    private final Writing writing;
    private final Checks checks = new Checks(LIMIT_SECONDS);

    private Handover(String controller, Truth truth) {
        cluster = new Cluster(controller);
        this.truth = truth;
        writing = new Writing(cluster, truth);
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        String phase = given.get("--phase");
        Truth truth = phase.equals("prepare") ? new Truth() : Truth.read(given.get("--truth"));
        Handover handover = new Handover(given.get("--controller"), truth);
        switch (phase) {
            case "prepare":
                handover.prepare();
                truth.write(given.get("--truth"));
                // Threads of the client library must not keep the program alive.
                Runtime.getRuntime().halt(0);
                break;
            case "work":
                handover.work(Paths.get(given.get("--record")));
                break;
            default:
                handover.check(Files.readAllLines(Paths.get(given.get("--record"))));
                handover.checks.finish(given.get("--report"), Map.of());
        }
    }

    private void prepare() throws Exception {
        writing.scope(SCOPE);
        writing.events(writing.stream(SCOPE, "retained", StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(1))
            .retentionPolicy(RetentionPolicy.bySizeBytes(20_000)).build()), 1, 30);
        for (String name : List.of("scaled", "truncated", "sealed", "deleted", "updated")) {
            writing.events(writing.stream(SCOPE, name, Workload.fixed(1)), 2, 12);
        }
        for (int i = 0; i < SCALED; i++) {
            writing.events(writing.stream(SCOPE, "busy-" + i, Workload.fixed(1)), 2, 12);
        }
        Truth.StreamTruth stream = writing.stream(SCOPE, "transactions", Workload.fixed(3));
        try (TransactionalEventStreamWriter<byte[]> writer = writing.transactionalWriter(SCOPE, stream.name)) {
            writing.new Pending(stream, writer, EVENTS).commit();
            writing.new Pending(stream, writer, EVENTS).abort();
            writing.new Pending(stream, writer, EVENTS);
        }
    }

    private void work(Path record) throws Exception {
        PrintWriter lines = new PrintWriter(Files.newBufferedWriter(record, StandardOpenOption.CREATE,
            StandardOpenOption.APPEND), true);
        for (int i = 0; i < COMMITTERS; i++) {
            start("committer", () -> commit(lines));
        }
        for (int i = 0; i < SCALED; i++) {
            String name = "busy-" + i;
            start(name, () -> {
                for (int round = 0; ; round++) {
                    cluster.scaleTo(SCOPE, name, 2 - round % 2);
                }
            });
        }
        Thread.sleep(Long.MAX_VALUE);
    }

    private interface Work {
        void run() throws Exception;
    }

    private static void start(String name, Work work) {
        new Thread(() -> {
            try {
                work.run();
            } catch (Exception ended) {
                ended.printStackTrace();
            }
        }, name).start();
    }

    private void commit(PrintWriter lines) throws Exception {
        try (TransactionalEventStreamWriter<byte[]> writer = writing.transactionalWriter(SCOPE, "transactions")) {
            while (true) {
                Transaction<byte[]> transaction = writer.beginTxn();
                write(transaction);
                transaction.commit();
                lines.println(transaction.getTxnId());
            }
        }
    }

    /** The key tells the transaction. */
    private static void write(Transaction<byte[]> transaction) throws Exception {
        String key = "transaction-" + transaction.getTxnId();
        for (int i = 0; i < EVENTS; i++) {
            transaction.writeEvent(key, Events.make(SCOPE + "/transactions", key, i, 60));
        }
        transaction.flush();
    }

    private void check(List<String> accepted) throws Exception {
        Set<String> known = new HashSet<>(accepted);
        truth.transactions.forEach(transaction -> known.add(transaction.id));
        Set<String> committed = new HashSet<>(accepted);
        truth.transactions.stream().filter(transaction -> transaction.status.equals("COMMITTED"))
            .forEach(transaction -> committed.add(transaction.id));
        checks.check("a new transaction is committed, with an id never seen before", () -> {
            EventWriterConfig config = EventWriterConfig.builder().transactionTimeoutTime(LEASE_MILLISECONDS).build();
            try (TransactionalEventStreamWriter<byte[]> writer = cluster.clients(SCOPE)
                    .createTransactionalEventWriter("after", "transactions", Events.SERIALIZER, config)) {
                Transaction<byte[]> transaction = writer.beginTxn();
                String id = transaction.getTxnId().toString();
                Cluster.require(known.add(id), "an id that was used before: " + id);
                write(transaction);
                transaction.commit();
                awaitStatus(id, "COMMITTED");
                committed.add(id);
                return id;
            }
        });
        checks.check("transactions whose commit was accepted are committed", () -> {
            for (String id : accepted) {
                awaitStatus(id, "COMMITTED");
            }
            return accepted.size() + " transactions";
        });
        checks.check("the events of a committed transaction are there once, those of no other", () -> eachOnce(committed));
        checks.check("the open transaction is aborted by its lease", () -> {
            String open = truth.transactions.stream().filter(transaction -> transaction.status.equals("OPEN"))
                .findFirst().orElseThrow().id;
            awaitStatus(open, "ABORTED");
            return open;
        });
        for (int i = 0; i < SCALED; i++) {
            String name = "busy-" + i;
            checks.check("scale " + name + ", which was being scaled", () -> scale(name, 3));
            checks.check("seal " + name + ", which was being scaled", () -> seal(name));
        }
        oldStreams();
    }

    private void oldStreams() {
        checks.check("scale an old stream", () -> scale("scaled", 2));
        checks.check("seal an old stream", () -> seal("sealed"));
        checks.check("truncate an old stream", () -> {
            StreamCut cut = cluster.tail(SCOPE, "truncated");
            Cluster.require(cluster.streams.truncateStream(SCOPE, "truncated", cut), "truncate");
            return Checks.same(cut, cluster.head(SCOPE, "truncated"));
        });
        checks.check("delete an old stream", () -> {
            seal("deleted");
            return Checks.yes(cluster.streams.deleteStream(SCOPE, "deleted"), "deleted");
        });
        checks.check("change the configuration of an old stream", () -> {
            StreamConfiguration changed =
                StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(1)).tag("changed").build();
            return Checks.yes(cluster.streams.updateStream(SCOPE, "updated", changed), "changed");
        });
        checks.check("read an old stream through a new reader group", () -> {
            Truth.StreamTruth stream = truth.stream(SCOPE, "retained");
            String group = "after-" + UUID.randomUUID();
            cluster.groups(SCOPE).createReaderGroup(group, ReaderGroupConfig.builder().stream(Stream.of(SCOPE, stream.name)).build());
            int read = Reading.continueGroup(cluster, SCOPE, group, stream.count(), stream.name).events.size();
            return Checks.same(stream.count(), read);
        });
        checks.check("a new table, and its end", () -> {
            writing.table(SCOPE, "table", 1, 4, 0);
            return Checks.yes(cluster.tables.deleteKeyValueTable(SCOPE, "table"), "deleted");
        });
    }

    private String scale(String stream, int segments) throws Exception {
        cluster.scaleTo(SCOPE, stream, segments);
        return Checks.same(segments, cluster.currentSegments(SCOPE, stream).size());
    }

    private String seal(String stream) throws Exception {
        Cluster.require(cluster.streams.sealStream(SCOPE, stream), "seal " + stream);
        return Checks.yes(cluster.info(SCOPE, stream).isSealed(), "sealed");
    }

    private void awaitStatus(String id, String status) throws Exception {
        Truth.TransactionTruth record = new Truth.TransactionTruth();
        record.scope = SCOPE;
        record.stream = "transactions";
        record.id = id;
        writing.awaitStatus(record, status);
    }

    private String eachOnce(Set<String> committed) {
        Map<String, Integer> counts = new HashMap<>();
        for (Events.Parsed event : Reading.parse(Reading.bySegment(cluster, SCOPE, "transactions", StreamCut.UNBOUNDED,
                StreamCut.UNBOUNDED))) {
            counts.merge(event.key.substring("transaction-".length()), 1, Integer::sum);
        }
        List<String> wrong = new ArrayList<>();
        committed.forEach(id -> {
            if (counts.getOrDefault(id, 0) != EVENTS) {
                wrong.add(id + " has " + counts.getOrDefault(id, 0) + " events");
            }
        });
        counts.forEach((id, count) -> {
            if (count != EVENTS) {
                wrong.add(id + " has " + count + " events");
            }
        });
        truth.transactions.stream().filter(transaction -> !transaction.status.equals("COMMITTED"))
            .filter(transaction -> counts.containsKey(transaction.id)).forEach(transaction -> wrong.add(transaction.id + " was not committed"));
        return Checks.yes(wrong.isEmpty(), counts.size() + " transactions " + wrong);
    }
}
