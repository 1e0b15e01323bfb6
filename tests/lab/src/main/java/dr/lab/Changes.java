package dr.lab;

import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.ScalingPolicy;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.Transaction;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableClientConfiguration;
import io.pravega.client.tables.Put;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * {@code Changes --controller URI --acknowledged FILE}: changes of every kind that a controller makes, without end and many at a time, so that a kill
 * hits some of each half done: streams are created, scaled, updated, truncated, sealed and deleted, transactions committed, key-value tables
 * and reader groups made and deleted. A line is appended to FILE for each change that was made; {@link ChangesCheck} looks at what is left.
 */
public final class Changes {
    static final String SCOPE = "changes";
    private static final int WORKERS = 12;
    private static final int STEPS = 6;
    private static final int EVENTS_PER_STEP = 5;

    private final Cluster cluster;
    private final Path acknowledged;
    private final int worker;

    private Changes(Cluster cluster, Path acknowledged, int worker) {
        this.cluster = cluster;
        this.acknowledged = acknowledged;
        this.worker = worker;
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        Cluster cluster = new Cluster(given.get("--controller"));
        cluster.streams.createScope(SCOPE);
        Path acknowledged = Path.of(given.get("--acknowledged"));
        for (int worker = 0; worker < WORKERS; worker++) {
            Changes changes = new Changes(cluster, acknowledged, worker);
            new Thread(changes::make, "worker-" + worker).start();
        }
        Thread.sleep(Long.MAX_VALUE);
    }

    static StreamConfiguration configuration(int segments, String tag) {
        return StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(segments)).tag(tag).build();
    }

    static EventStreamWriter<byte[]> writer(Cluster cluster, String stream) {
        return cluster.clients(SCOPE).createEventWriter(stream, Events.SERIALIZER, EventWriterConfig.builder().build());
    }

    static TransactionalEventStreamWriter<byte[]> transactions(Cluster cluster, String stream) {
        return cluster.clients(SCOPE).createTransactionalEventWriter("changes-" + stream, stream, Events.SERIALIZER,
            EventWriterConfig.builder().build());
    }

    static void put(Cluster cluster, String table, int number) throws Exception {
        try (KeyValueTable open = cluster.tableClients(SCOPE)
                .forKeyValueTable(table, KeyValueTableClientConfiguration.builder().build())) {
            open.update(new Put(Load.tableKey(0), Load.value(table, 0, number))).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
        }
    }

    private void make() {
        try {
            for (int round = 0;; round++) {
                makeStream(round);
            }
        } catch (Exception end) {
            // The servers are killed under the changes, so every worker ends like this.
            System.out.println("worker " + worker + " ended: " + end);
        }
    }

    private void makeStream(int round) throws Exception {
        String stream = "stream-" + worker + "-" + round;
        cluster.createStream(SCOPE, stream, configuration(1 + worker % 2, "new"));
        try (EventStreamWriter<byte[]> writer = writer(cluster, stream);
                TransactionalEventStreamWriter<byte[]> transactions = transactions(cluster, stream)) {
            for (int step = 0; step < STEPS; step++) {
                for (int event = 0; event < EVENTS_PER_STEP; event++) {
                    writer.writeEvent("key", Load.event(SCOPE + "/" + stream, "key", step * EVENTS_PER_STEP + event))
                        .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
                }
                int kind = (worker + step) % STEPS;
                change(stream, round, kind, transactions);
                Files.writeString(acknowledged, kind + " " + stream + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            }
        }
        // A third stays as it is.
        if (round % 3 > 0) {
            cluster.streams.sealStream(SCOPE, stream);
        }
        if (round % 3 > 1) {
            cluster.streams.deleteStream(SCOPE, stream);
        }
    }

    private void change(String stream, int round, int kind, TransactionalEventStreamWriter<byte[]> transactions) throws Exception {
        boolean isKept = round % 2 == 0;
        switch (kind) {
            case 0:
                cluster.scaleTo(SCOPE, stream, 2 + round % 2);
                break;
            case 1:
                cluster.streams.updateStream(SCOPE, stream, configuration(2, "changed"));
                break;
            case 2:
                cluster.streams.truncateStream(SCOPE, stream, cluster.tail(SCOPE, stream));
                break;
            case 3:
                Transaction<byte[]> transaction = transactions.beginTxn();
                transaction.writeEvent("key", new byte[100]);
                transaction.commit();
                break;
            case 4:
                String table = "table-" + worker + "-" + round;
                cluster.tables.createKeyValueTable(SCOPE, table, Load.tableConfiguration());
                put(cluster, table, 0);
                if (!isKept) {
                    cluster.tables.deleteKeyValueTable(SCOPE, table);
                }
                break;
            default:
                String group = "group-" + worker + "-" + round;
                cluster.groups(SCOPE).createReaderGroup(group, Reading.groupConfig(SCOPE, List.of(stream)));
                if (!isKept) {
                    cluster.groups(SCOPE).deleteReaderGroup(group);
                }
        }
    }
}
