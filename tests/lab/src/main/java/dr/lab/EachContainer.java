package dr.lab;

import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import io.pravega.client.tables.KeyValueTable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * {@code EachContainer --controller URI --truth FILE --report FILE --scope NAME --streams A,B --tables C,D --seconds N}: new work in
 * every container. The driver chooses the names so that each container gets one stream and one table. All of them are written, the
 * tables updated and emptied again and again, for N seconds; some get transactions. The truth is created or extended.
 */
public final class EachContainer {
    private static final int WORKERS = 4;
    /** Transactions are slow; more would only test the controller. */
    private static final int STREAMS_WITH_TRANSACTIONS = 4;
    private static final int KEYS = 24;

    private final Cluster cluster;
    private final Truth truth;
    private final Writing writing;
    private final Checks checks = new Checks();
    private final String scope;
    private final long end;

    private EachContainer(Arguments given) throws Exception {
        cluster = new Cluster(given.get("--controller"));
        Path file = Path.of(given.get("--truth"));
        truth = Files.exists(file) ? Truth.read(file.toString()) : begin(cluster);
        writing = new Writing(cluster, truth);
        scope = given.get("--scope");
        end = System.nanoTime() + TimeUnit.SECONDS.toNanos(given.number("--seconds", 0));
    }

    private static Truth begin(Cluster cluster) {
        Truth truth = new Truth();
        cluster.streams.listScopes().forEachRemaining(truth.otherScopes::add);
        return truth;
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        EachContainer each = new EachContainer(given);
        each.run(List.of(given.get("--streams").split(",")), List.of(given.get("--tables").split(",")));
        each.truth.write(given.get("--truth"));
        each.checks.finish(given.get("--report"), Map.of());
    }

    private void run(List<String> streamNames, List<String> tableNames) {
        List<Truth.StreamTruth> streams = new ArrayList<>();
        List<Truth.TableTruth> tables = new ArrayList<>();
        checks.check("create in each container", () -> {
            writing.scope(scope);
            for (String name : streamNames) {
                streams.add(writing.stream(scope, name, Workload.fixed(2)));
            }
            for (String name : tableNames) {
                tables.add(writing.table(scope, name, 2, 8, 0));
            }
            return streams.size() + " streams, " + tables.size() + " tables";
        });
        checks.check("write to each container", () -> {
            List<Callable<Integer>> works = new ArrayList<>();
            streams.forEach(stream -> works.add(() -> write(stream)));
            tables.forEach(table -> works.add(() -> update(table)));
            int rounds = 0;
            do {
                inParallel(works);
                rounds++;
            } while (System.nanoTime() < end);
            return rounds + " rounds";
        });
        checks.check("transactions", () -> transactions(streams));
        for (Truth.StreamTruth stream : streams) {
            checks.check("events " + stream.path(), () -> {
                List<Events.Parsed> read = Reading.parse(
                    Reading.bySegment(cluster, scope, stream.name, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED));
                String difference = Reading.difference(stream.events, Reading.byKey(read, stream.path()));
                return difference == null ? read.size() + " events" : Checks.BAD + difference;
            });
        }
    }

    private static void inParallel(List<Callable<Integer>> works) throws Exception {
        ExecutorService workers = Executors.newFixedThreadPool(WORKERS);
        try {
            for (Future<Integer> done : workers.invokeAll(works)) {
                done.get();
            }
        } finally {
            workers.shutdown();
        }
    }

    private int write(Truth.StreamTruth stream) throws Exception {
        writing.events(stream, 3, 12);
        return stream.count();
    }

    /** Puts all keys, and removes every third again. */
    private int update(Truth.TableTruth table) throws Exception {
        try (KeyValueTable open = writing.open(table)) {
            for (int key = 0; key < KEYS; key++) {
                writing.put(table, open, key, (int) (System.nanoTime() / 1_000_000 % 1_000_000));
            }
            for (int key = 1; key < KEYS; key += 3) {
                writing.remove(table, open, key);
            }
        }
        return table.entries.size();
    }

    private String transactions(List<Truth.StreamTruth> streams) throws Exception {
        int count = 0;
        for (Truth.StreamTruth stream : streams.subList(0, Math.min(streams.size(), STREAMS_WITH_TRANSACTIONS))) {
            try (TransactionalEventStreamWriter<byte[]> writer = writing.transactionalWriter(scope, stream.name)) {
                writing.new Pending(stream, writer, 4).commit();
                writing.new Pending(stream, writer, 4).abort();
                count++;
            }
        }
        return count + " committed, " + count + " aborted";
    }
}
