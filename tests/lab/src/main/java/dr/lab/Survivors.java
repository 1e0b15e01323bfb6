package dr.lab;

import io.pravega.client.stream.EventRead;
import io.pravega.client.stream.EventStreamReader;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.ReaderConfig;
import io.pravega.client.stream.ReinitializationRequiredException;
import io.pravega.client.stream.ScalingPolicy;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.Transaction;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import io.pravega.client.stream.TruncatedDataException;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableClientConfiguration;
import io.pravega.client.tables.Put;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * {@code Survivors --controller URI --record FILE}: clients that stay alive while their cluster is lost and recovered, and go on
 * as their documentation tells them to. The driver says how far it is by writing a word into FILE.phase: {@code crash} before it
 * kills the servers, {@code recovered} before it starts them again, {@code stop} at the end. What happened is appended to FILE, each
 * line with one system call:
 * <pre>
 * P phase                        noticed; nothing can be acknowledged between the first two
 * E key number                   an event was acknowledged
 * D group reader key number      an event was delivered by a reader, as it was written
 * Z group reader content         a reader delivered what was never written
 * I group reader                 a reader has to be created anew, says the client
 * B id name                      a transaction begins to be written
 * T id name                      a transaction was committed
 * X id name how                  a transaction ended otherwise
 * U key number                   the newest value of a table key
 * H what                         did not come to an end in time
 * N who what                     an exception; all go on after it
 * </pre>
 * Numbers of a key count from 0 without gaps, as in {@link Load}.
 */
public final class Survivors {
    static final String SCOPE = "survivors";
    static final String STREAM = "events";
    static final String PATH = SCOPE + "/" + STREAM;
    static final String TRANSACTIONS = "transactions";
    static final String TRANSACTIONS_PATH = SCOPE + "/" + TRANSACTIONS;
    static final String TABLE = "table";
    /** Its readers live on. */
    static final String LIVING = "living";
    /** Its readers are gone with the servers, without a farewell. */
    static final String ABANDONED = "abandoned";
    static final int TRANSACTION_EVENTS = 4;
    static final int TABLE_KEYS = 20;
    private static final int WRITERS = 2;
    private static final int READERS = 2;
    private static final int KEYS_PER_WRITER = 4;
    private static final int IN_FLIGHT = 64;
    private static final long WRITE_PAUSE_MILLISECONDS = 5;
    private static final long POLL_MILLISECONDS = 1_000;
    private static final long JUST_NOW_MILLISECONDS = 300;
    private static final long RETRY_MILLISECONDS = 500;
    /** Longest time for anybody to come to an end, and for the readers to come to the last event. */
    private static final long END_SECONDS = 60;

    private final Cluster cluster;
    private final Path phaseFile;
    private final FileOutputStream record;
    private final List<Thread> writing = new ArrayList<>();
    private final List<Thread> reading = new ArrayList<>();
    /** Key to the last number that was acknowledged after the recovery. */
    private final Map<String, Integer> acknowledged = new ConcurrentHashMap<>();
    private final Set<String> delivered = ConcurrentHashMap.newKeySet();
    private volatile String phase = "";
    private volatile boolean ending;

    private Survivors(Cluster cluster, String file) throws IOException {
        this.cluster = cluster;
        phaseFile = Paths.get(file + ".phase");
        record = new FileOutputStream(file, true);
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        Survivors survivors = new Survivors(new Cluster(given.get("--controller")), given.get("--record"));
        survivors.create();
        survivors.begin();
        while (!survivors.phase.equals("stop")) {
            survivors.lookAtPhase();
            Thread.sleep(50);
        }
        survivors.end();
        // Nobody who hangs must keep the program alive.
        Runtime.getRuntime().halt(0);
    }

    private void create() throws Exception {
        StreamConfiguration two = StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(2)).build();
        cluster.streams.createScope(SCOPE);
        cluster.streams.createStream(SCOPE, STREAM, two);
        cluster.streams.createStream(SCOPE, TRANSACTIONS, two);
        cluster.tables.createKeyValueTable(SCOPE, TABLE, Load.tableConfiguration());
        for (String group : List.of(LIVING, ABANDONED)) {
            cluster.groups(SCOPE).createReaderGroup(group, Reading.groupConfig(SCOPE, List.of(STREAM)));
        }
    }

    private void begin() {
        for (int i = 0; i < WRITERS; i++) {
            int writer = i;
            start(writing, "writer-" + i, () -> write(writer));
        }
        start(writing, "table", this::update);
        start(writing, "transactions", this::commitAgainAndAgain);
        start(writing, "open-transaction", this::commitAfterTheRecovery);
        start(writing, "scaling", () -> {
            Thread.sleep(3_000);
            cluster.scaleTo(SCOPE, STREAM, 3);
        });
        for (String group : List.of(LIVING, ABANDONED)) {
            for (int i = 0; i < READERS; i++) {
                String name = group + "-" + i;
                start(reading, name, () -> read(group, name));
            }
        }
    }

    private void start(List<Thread> threads, String name, Workload.Step work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Exception failure) {
                note(name + " ended", failure);
            }
        }, name);
        thread.setDaemon(true);
        threads.add(thread);
        thread.start();
    }

    private void lookAtPhase() throws IOException {
        String found = Files.exists(phaseFile) ? Files.readString(phaseFile).trim() : "";
        // Empty while the driver writes it.
        if (!found.isEmpty() && !found.equals(phase)) {
            phase = found;
            record("P " + found);
        }
    }

    /** True from the moment at which the new servers are about to start. */
    private boolean isRecovered() {
        return phase.equals("recovered") || isStopped();
    }

    private boolean isStopped() {
        return phase.equals("stop");
    }

    /** Writers first, then readers when they have all that was acknowledged since the recovery. */
    private void end() throws Exception {
        join(writing);
        long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(END_SECONDS);
        while (!isAllDelivered() && System.nanoTime() < limit) {
            Thread.sleep(100);
        }
        if (!isAllDelivered()) {
            record("H readers-reach-the-last-event");
        }
        ending = true;
        join(reading);
        record("P ended");
    }

    private boolean isAllDelivered() {
        return acknowledged.entrySet().stream().allMatch(last -> delivered.contains(last.getKey() + " " + last.getValue()));
    }

    private void join(List<Thread> threads) throws InterruptedException {
        long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(END_SECONDS);
        for (Thread thread : threads) {
            thread.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(limit - System.nanoTime())));
            if (thread.isAlive()) {
                record("H " + thread.getName());
                for (StackTraceElement element : thread.getStackTrace()) {
                    System.out.println("  " + element);
                }
            }
        }
    }

    private synchronized void record(String line) {
        try {
            record.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException failure) {
            System.out.println("cannot record: " + failure);
            Runtime.getRuntime().halt(1);
        }
    }

    private void note(String who, Throwable failure) {
        System.out.println(who + ": " + failure);
        failure.printStackTrace(System.out);
        record("N " + who + " " + failure.toString().replaceAll("\\s+", " "));
    }

    /** Content of one event. */
    static byte[] event(String path, String key, int number) {
        return Events.make(path, key, number, Events.sizeOf(number) % 3_000);
    }

    /** One writer through it all: it connects again by itself and sends again what was not acknowledged. */
    private void write(int writer) throws Exception {
        Semaphore inFlight = new Semaphore(IN_FLIGHT);
        try (EventStreamWriter<byte[]> events = cluster.clients(SCOPE)
                .createEventWriter(STREAM, Events.SERIALIZER, EventWriterConfig.builder().build())) {
            for (int i = 0; !isStopped(); i++) {
                String key = "key-" + writer + "-" + i % KEYS_PER_WRITER;
                int number = i / KEYS_PER_WRITER;
                while (!inFlight.tryAcquire(100, TimeUnit.MILLISECONDS) && !isStopped()) {
                    // Waits for acknowledgements, but not for ever.
                }
                events.writeEvent(key, event(PATH, key, number)).whenComplete((done, failure) -> {
                    inFlight.release();
                    if (failure == null) {
                        record("E " + key + " " + number);
                        if (isRecovered()) {
                            acknowledged.merge(key, number, Math::max);
                        }
                    } else {
                        note("event " + key + " " + number, failure);
                    }
                });
                Thread.sleep(WRITE_PAUSE_MILLISECONDS);
            }
            events.flush();
        }
    }

    private void read(String group, String name) throws Exception {
        int incarnation = 0;
        EventStreamReader<byte[]> reader = createReader(group, name + "." + incarnation);
        while (!ending) {
            if (isAbandoned(group)) {
                return;
            }
            try {
                EventRead<byte[]> read = reader.readNextEvent(POLL_MILLISECONDS);
                if (read.getEvent() != null) {
                    deliver(group, name + "." + incarnation, read.getEvent());
                }
            } catch (ReinitializationRequiredException gone) {
                record("I " + group + " " + name + "." + incarnation);
                if (!isAbandoned(group)) {
                    incarnation++;
                    reader = createReader(group, name + "." + incarnation);
                }
            } catch (TruncatedDataException truncated) {
                note(name, truncated);
            } catch (RuntimeException failure) {
                note(name, failure);
                Thread.sleep(RETRY_MILLISECONDS);
            }
        }
        reader.close();
    }

    private boolean isAbandoned(String group) {
        return group.equals(ABANDONED) && !phase.isEmpty();
    }

    private EventStreamReader<byte[]> createReader(String group, String name) throws Exception {
        while (true) {
            try {
                return cluster.clients(SCOPE).createReader(name, group, Events.SERIALIZER, ReaderConfig.builder().build());
            } catch (RuntimeException failure) {
                note("create " + name, failure);
                Thread.sleep(RETRY_MILLISECONDS);
            }
        }
    }

    private void deliver(String group, String reader, byte[] content) {
        String event = Survivors.identify(PATH, content);
        if (event == null) {
            record("Z " + group + " " + reader + " " + content.length + " bytes " + Events.hex(content, 60));
            return;
        }
        record("D " + group + " " + reader + " " + event);
        if (group.equals(LIVING)) {
            delivered.add(event);
        }
    }

    /** Key and number of an event that is as it was written, else null. */
    static String identify(String path, byte[] content) {
        try {
            Events.Parsed event = new Events.Parsed(content);
            boolean whole = event.stream.equals(path) && event.digest.equals(Events.digest(event(path, event.key, event.number)));
            return whole ? event.key + " " + event.number : null;
        } catch (RuntimeException foreign) {
            return null;
        }
    }

    private TransactionalEventStreamWriter<byte[]> transactionalWriter(String writer) {
        return cluster.clients(SCOPE)
            .createTransactionalEventWriter(writer, TRANSACTIONS, Events.SERIALIZER, EventWriterConfig.builder().build());
    }

    /** One writer through it all, which begins the next transaction when one fails. */
    private void commitAgainAndAgain() throws Exception {
        try (TransactionalEventStreamWriter<byte[]> writer = transactionalWriter("again")) {
            for (int i = 0; !isStopped(); i++) {
                try {
                    Transaction<byte[]> transaction = begin(writer, "transaction-" + i);
                    commit(transaction, "transaction-" + i);
                } catch (Exception failure) {
                    note("transaction-" + i, failure);
                    Thread.sleep(RETRY_MILLISECONDS);
                }
            }
        }
    }

    /** Two that are open when the cluster is lost: one since the beginning, one since a moment ago. */
    private void commitAfterTheRecovery() throws Exception {
        Map<String, Transaction<byte[]>> open = new TreeMap<>();
        try (TransactionalEventStreamWriter<byte[]> writer = transactionalWriter("open")) {
            open.put("open-long", begin(writer, "open-long"));
            while (phase.isEmpty()) {
                try {
                    Transaction<byte[]> next = begin(writer, "open-just-now");
                    // One whose begin waited through the loss is a new one: that before it was open when the cluster was lost.
                    Transaction<byte[]> unneeded = isRecovered() ? next : open.put("open-just-now", next);
                    if (unneeded != null) {
                        unneeded.abort();
                    }
                } catch (Exception tooLate) {
                    note("open-just-now", tooLate);
                }
                Thread.sleep(JUST_NOW_MILLISECONDS);
            }
            while (!isRecovered()) {
                Thread.sleep(20);
            }
            for (Map.Entry<String, Transaction<byte[]>> transaction : open.entrySet()) {
                try {
                    commit(transaction.getValue(), transaction.getKey());
                } catch (Exception failure) {
                    note(transaction.getKey(), failure);
                    record("X " + transaction.getValue().getTxnId() + " " + transaction.getKey() + " " + failure.getClass().getName());
                }
            }
        }
    }

    private Transaction<byte[]> begin(TransactionalEventStreamWriter<byte[]> writer, String name) throws Exception {
        Transaction<byte[]> transaction = writer.beginTxn();
        record("B " + transaction.getTxnId() + " " + name);
        for (int i = 0; i < TRANSACTION_EVENTS; i++) {
            // A routing key each, so that a transaction spreads over the segments.
            transaction.writeEvent(name + "-" + i, event(TRANSACTIONS_PATH, transaction.getTxnId().toString(), i));
        }
        transaction.flush();
        return transaction;
    }

    private void commit(Transaction<byte[]> transaction, String name) throws Exception {
        transaction.commit();
        Transaction.Status status = transaction.checkStatus();
        while (status != Transaction.Status.COMMITTED && status != Transaction.Status.ABORTED) {
            Thread.sleep(50);
            status = transaction.checkStatus();
        }
        record((status == Transaction.Status.COMMITTED ? "T " : "X ") + transaction.getTxnId() + " " + name
            + (status == Transaction.Status.COMMITTED ? "" : " " + status));
    }

    /** One table client through it all; an update that fails is made again. */
    private void update() throws Exception {
        try (KeyValueTable table = cluster.tableClients(SCOPE)
                .forKeyValueTable(TABLE, KeyValueTableClientConfiguration.builder().build())) {
            for (int i = 0; !isStopped();) {
                int key = i % TABLE_KEYS;
                int number = i / TABLE_KEYS;
                try {
                    table.update(new Put(Load.tableKey(key), Load.value(TABLE, key, number))).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
                    record("U " + key + " " + number);
                    i++;
                } catch (Exception failure) {
                    note("table", failure);
                    Thread.sleep(RETRY_MILLISECONDS);
                }
            }
        }
    }
}
