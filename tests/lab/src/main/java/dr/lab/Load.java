package dr.lab;

import io.pravega.client.byteStream.ByteStreamWriter;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.ScalingPolicy;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.Transaction;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableClientConfiguration;
import io.pravega.client.tables.KeyValueTableConfiguration;
import io.pravega.client.tables.Put;
import io.pravega.client.tables.Remove;
import io.pravega.client.tables.TableEntry;
import io.pravega.client.tables.TableKey;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * {@code Load --controller URI --acknowledged FILE --events-per-second N}: writes until it is killed and appends a line to FILE
 * for every acknowledgement, each with one system call, so that a SIGKILL loses none:
 * <pre>
 * R run                          first line: names of streams and table end with it, so that every load has its own
 * E scope/stream key number      an event
 * U key number                   the newest value of a table key
 * D key number                   a removal of a table key; they have numbers as values have
 * T scope/stream id events       a committed transaction
 * N scope/stream id              a transaction that is about to be written and never committed
 * B scope/stream length          bytes of the byte stream
 * x scope/stream number          the stream is about to be truncated: events of all keys below the number go
 * X scope/stream number          the same, done
 * C stream|table name            a stream or table was created; see {@link Created}
 * F                              written by the driver: all above was flushed to Tier-2
 * </pre>
 * Numbers of a key count from 0 without gaps, and contents follow from stream, key and number, so nothing else must be recorded.
 */
public final class Load {
    static final String SCOPE = "load";
    static final String TABLE = "table";
    static final List<String> STREAMS = List.of("fixed", "scaled");
    static final String TRANSACTIONS = "transactions";
    static final int TRANSACTION_EVENTS = 6;
    /** Room for a few transactions: each that has none left in the last object lends its own to the segment. */
    private static final long TRANSACTIONS_ROLLOVER_BYTES = 16 * 1024;
    static final int TABLE_KEYS = 50;
    /** Keys from here on are removed every other time. */
    static final int FIRST_REMOVED_KEY = 40;
    static final int KEYS_PER_WRITER = 8;
    static final String TRUNCATED = "truncated";
    static final String BYTES = "bytes";
    /** Few, so that a kill often hits a stream that was truncated behind the last byte that was flushed. */
    private static final int ROUNDS_BETWEEN_TRUNCATIONS = 2;
    /** Of so many transactions one is aborted, and one is left open. */
    private static final int TRANSACTIONS_WITH_AN_ABORT = 6;
    private static final int BYTES_PER_WRITE = 700;
    private static final int IN_FLIGHT = 64;

    private final Cluster cluster;
    private final FileOutputStream acknowledged;
    private final String run = Long.toString(System.currentTimeMillis(), 36);
    private final long pauseNanos;

    private Load(Cluster cluster, FileOutputStream acknowledged, int eventsPerSecond) {
        this.cluster = cluster;
        this.acknowledged = acknowledged;
        // Shared by the two writers.
        pauseNanos = eventsPerSecond == 0 ? 0 : 2_000_000_000L / eventsPerSecond;
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        FileOutputStream file = new FileOutputStream(given.get("--acknowledged"), true);
        Load load = new Load(new Cluster(given.get("--controller")), file, given.number("--events-per-second", 0));
        load.create();
        for (String stream : STREAMS) {
            start("writer-" + stream, () -> load.write(named(stream, load.run)));
        }
        start("transactions", load::transactions);
        start("table", load::updates);
        start("truncation", load::truncate);
        start("bytes", load::bytes);
        start("scaling", load::scale);
        start("creation", () -> new Created(load.cluster, load.run).create(created -> load.acknowledge("C " + created)));
        Thread.sleep(Long.MAX_VALUE);
    }

    private static void start(String name, Workload.Step work) {
        new Thread(() -> {
            try {
                work.run();
            } catch (Exception end) {
                // The servers are killed under the load, so every thread ends like this.
                System.out.println(name + " ended: " + end);
            }
        }, name).start();
    }

    /** Content of one event of the load. */
    static byte[] event(String path, String key, int number) {
        return Events.make(path, key, number, number % 50 == 7 ? 20_000 : Events.sizeOf(number) % 3_000);
    }

    /** Byte {@code position} of the byte stream; its first bytes are no header of an event. */
    static byte byteAt(long position) {
        return (byte) (position * 7 + position / 251 + 3);
    }

    static boolean removes(int key, int number) {
        return key >= FIRST_REMOVED_KEY && number % 2 == 1;
    }

    static ByteBuffer value(String table, int key, int number) {
        return ByteBuffer.wrap(Events.make(SCOPE + "/" + table, "entry-" + key, number, 60 + key * 11));
    }

    /** The value of an entry, whose buffer stays as it is. */
    static byte[] bytes(TableEntry entry) {
        byte[] value = new byte[entry.getValue().remaining()];
        entry.getValue().duplicate().get(value);
        return value;
    }

    static TableKey tableKey(int key) {
        return new TableKey(ByteBuffer.allocate(4).putInt(0, key));
    }

    static KeyValueTableConfiguration tableConfiguration() {
        return KeyValueTableConfiguration.builder().partitionCount(2).primaryKeyLength(4).secondaryKeyLength(0).build();
    }

    static String named(String what, String run) {
        return what + "-" + run;
    }

    private void create() throws InterruptedException {
        StreamConfiguration two = StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(2)).build();
        cluster.streams.createScope(SCOPE);
        for (String stream : STREAMS) {
            cluster.createStream(SCOPE, named(stream, run), two);
        }
        cluster.createStream(SCOPE, named(TRANSACTIONS, run), StreamConfiguration.builder()
            .scalingPolicy(ScalingPolicy.fixed(2)).rolloverSizeBytes(TRANSACTIONS_ROLLOVER_BYTES).build());
        cluster.createStream(SCOPE, named(TRUNCATED, run), two);
        cluster.createStream(SCOPE, named(BYTES, run), Workload.fixed(1));
        cluster.tables.createKeyValueTable(SCOPE, named(TABLE, run), tableConfiguration());
        acknowledge("R " + run);
    }

    private synchronized void acknowledge(String line) {
        try {
            acknowledged.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException failure) {
            System.out.println("cannot record: " + failure);
            Runtime.getRuntime().halt(1);
        }
    }

    private void write(String stream) throws Exception {
        String path = SCOPE + "/" + stream;
        Semaphore inFlight = new Semaphore(IN_FLIGHT);
        EventStreamWriter<byte[]> writer = cluster.clients(SCOPE)
            .createEventWriter(stream, Events.SERIALIZER, EventWriterConfig.builder().build());
        for (int i = 0;; i++) {
            String key = "key-" + i % KEYS_PER_WRITER;
            int number = i / KEYS_PER_WRITER;
            inFlight.acquire();
            writer.writeEvent(key, event(path, key, number)).whenComplete((done, failure) -> {
                inFlight.release();
                if (failure == null) {
                    acknowledge("E " + path + " " + key + " " + number);
                }
            });
            if (pauseNanos > 0) {
                TimeUnit.NANOSECONDS.sleep(pauseNanos);
            }
        }
    }

    private void transactions() throws Exception {
        String stream = named(TRANSACTIONS, run);
        String path = SCOPE + "/" + stream;
        try (TransactionalEventStreamWriter<byte[]> writer = cluster.clients(SCOPE)
                .createTransactionalEventWriter("load", stream, Events.SERIALIZER, EventWriterConfig.builder().build())) {
            for (int number = 0;; number++) {
                Transaction<byte[]> transaction = writer.beginTxn();
                String id = transaction.getTxnId().toString();
                int kind = number % TRANSACTIONS_WITH_AN_ABORT;
                if (kind < 2) {
                    acknowledge("N " + path + " " + id);
                }
                for (int i = 0; i < TRANSACTION_EVENTS; i++) {
                    // A routing key each, so that a transaction spreads over the segments.
                    transaction.writeEvent(id + "-" + i, event(path, id, i));
                }
                if (kind == 0) {
                    transaction.abort();
                } else if (kind == 1) {
                    transaction.flush();
                }
                if (kind < 2) {
                    continue;
                }
                transaction.commit();
                while (transaction.checkStatus() != Transaction.Status.COMMITTED) {
                    Thread.sleep(20);
                }
                acknowledge("T " + path + " " + id + " " + TRANSACTION_EVENTS);
            }
        }
    }

    private void updates() throws Exception {
        String name = named(TABLE, run);
        KeyValueTable table = cluster.tableClients(SCOPE)
            .forKeyValueTable(name, KeyValueTableClientConfiguration.builder().build());
        for (int i = 0;; i++) {
            int key = i % TABLE_KEYS;
            int number = i / TABLE_KEYS;
            boolean removed = removes(key, number);
            table.update(removed ? new Remove(tableKey(key)) : new Put(tableKey(key), value(name, key, number)))
                .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
            acknowledge((removed ? "D " : "U ") + key + " " + number);
            if (pauseNanos > 0) {
                TimeUnit.NANOSECONDS.sleep(4 * pauseNanos);
            }
        }
    }

    /** Writes rounds of one event for each key, and truncates behind some of them. */
    private void truncate() throws Exception {
        String stream = named(TRUNCATED, run);
        String path = SCOPE + "/" + stream;
        EventStreamWriter<byte[]> writer = cluster.clients(SCOPE)
            .createEventWriter(stream, Events.SERIALIZER, EventWriterConfig.builder().build());
        for (int number = 0;; number++) {
            Map<String, Future<Void>> written = new LinkedHashMap<>();
            for (int i = 0; i < KEYS_PER_WRITER; i++) {
                String key = "key-" + i;
                written.put(key, writer.writeEvent(key, event(path, key, number)));
            }
            for (Map.Entry<String, Future<Void>> event : written.entrySet()) {
                event.getValue().get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
                acknowledge("E " + path + " " + event.getKey() + " " + number);
            }
            if ((number + 1) % ROUNDS_BETWEEN_TRUNCATIONS == 0) {
                acknowledge("x " + path + " " + (number + 1));
                Cluster.require(cluster.streams.truncateStream(SCOPE, stream, cluster.tail(SCOPE, stream)), "truncate");
                acknowledge("X " + path + " " + (number + 1));
            }
        }
    }

    private void bytes() throws Exception {
        String stream = named(BYTES, run);
        byte[] part = new byte[BYTES_PER_WRITE];
        try (ByteStreamWriter writer = cluster.byteClients(SCOPE).createByteStreamWriter(stream)) {
            for (long position = 0;; position += part.length) {
                for (int i = 0; i < part.length; i++) {
                    part[i] = byteAt(position + i);
                }
                writer.write(part);
                writer.flush();
                acknowledge("B " + SCOPE + "/" + stream + " " + (position + part.length));
                Thread.sleep(20);
            }
        }
    }

    /** Scales one of the streams now and then, so that a kill may hit the middle of it. */
    private void scale() throws Exception {
        for (int i = 0;; i++) {
            Thread.sleep(6_000);
            cluster.scaleTo(SCOPE, named("scaled", run), 2 + i % 2);
        }
    }
}
