package dr.lab;

import io.pravega.client.admin.KeyValueTableInfo;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableClientConfiguration;
import io.pravega.client.tables.Put;
import io.pravega.client.tables.TableEntry;
import java.util.Iterator;
import java.util.List;
import java.util.NavigableSet;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Streams and key-value tables that a load creates one after the other until it is killed, so that a kill hits some that were just
 * made. A stream and a table bear the same name. Every other pair is written to at once; of the others Tier-2 may hold nothing but
 * what the controller says.
 */
final class Created {
    private static final String PREFIX = "created-";
    private static final long PAUSE_MILLISECONDS = 200;
    private static final String KEY = "key";
    /** The newest of each kind that are used in a check, half a second each: one that was written to, one that was not, and the last one. */
    private static final int USED = 3;

    private final Cluster cluster;
    private final String run;

    Created(Cluster cluster, String run) {
        this.cluster = cluster;
        this.run = run;
    }

    /** Creates without end. Acknowledges {@code stream NAME} and {@code table NAME}. */
    void create(Consumer<String> acknowledge) throws Exception {
        for (int number = 0;; number++) {
            String name = String.format("%s%05d-%s", PREFIX, number, run);
            createStream(name);
            if (number % 2 == 1) {
                write(name, 0);
            }
            acknowledge.accept("stream " + name);
            createTable(name);
            if (number % 2 == 1) {
                put(name, 0);
            }
            acknowledge.accept("table " + name);
            Thread.sleep(PAUSE_MILLISECONDS);
        }
    }

    private void createStream(String name) throws InterruptedException {
        cluster.createStream(Load.SCOPE, name, Workload.fixed(2));
    }

    private void createTable(String name) {
        cluster.tables.createKeyValueTable(Load.SCOPE, name, Load.tableConfiguration());
    }

    /**
     * The controller must know what was flushed, as {@code create} acknowledged it, and whatever it knows must work, what was made
     * in the last moments too.
     */
    String check(Set<String> acknowledged, Set<String> flushed) throws Exception {
        NavigableSet<String> streams = known(cluster.streams.listStreams(Load.SCOPE), Stream::getStreamName);
        NavigableSet<String> tables =
            known(cluster.tables.listKeyValueTables(Load.SCOPE), KeyValueTableInfo::getKeyValueTableName);
        Set<String> missing = new TreeSet<>(flushed);
        streams.forEach(name -> missing.remove("stream " + name));
        tables.forEach(name -> missing.remove("table " + name));
        if (!missing.isEmpty()) {
            return Checks.BAD + "created, flushed and not there: " + missing;
        }
        use("stream", streams, this::useStream);
        use("table", tables, this::useTable);
        return streams.size() + " streams and " + tables.size() + " tables there, created " + acknowledged.size();
    }

    private <T> NavigableSet<String> known(Iterator<T> listed, Function<T, String> nameOf) {
        NavigableSet<String> names = new TreeSet<>();
        listed.forEachRemaining(item -> names.add(nameOf.apply(item)));
        names.removeIf(name -> !name.startsWith(PREFIX) || !name.endsWith("-" + run));
        return names;
    }

    private interface Use {
        void of(String name) throws Exception;
    }

    private static void use(String kind, NavigableSet<String> names, Use use) {
        names.stream().skip(Math.max(0, names.size() - USED)).forEach(name -> {
            try {
                use.of(name);
            } catch (Exception failure) {
                throw new IllegalStateException("cannot use the " + kind + " " + name + ": " + failure, failure);
            }
        });
    }

    /** Reads it, writes one more event, and reads that as well. */
    private void useStream(String name) throws Exception {
        // Finishes what was half done when everything was killed, as a client would that was not told of the end; else it does nothing.
        createStream(name);
        int count = read(name);
        write(name, count);
        Cluster.require(read(name) == count + 1, "read what was just written to the stream " + name);
    }

    private int read(String name) {
        List<byte[]> events = Reading.bySegment(cluster, Load.SCOPE, name, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED);
        for (int number = 0; number < events.size(); number++) {
            byte[] expected = event(name, number);
            Cluster.require(Events.digest(events.get(number)).equals(Events.digest(expected)), "read event " + number + " of " + name);
        }
        return events.size();
    }

    private void write(String name, int number) throws Exception {
        try (EventStreamWriter<byte[]> writer = cluster.clients(Load.SCOPE)
                .createEventWriter(name, Events.SERIALIZER, EventWriterConfig.builder().build())) {
            writer.writeEvent(KEY, event(name, number)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
        }
    }

    private static byte[] event(String name, int number) {
        return Load.event(Load.SCOPE + "/" + name, KEY, number);
    }

    /** Gets what is there, puts the next value, and gets that as well. */
    private void useTable(String name) throws Exception {
        createTable(name);
        int number = get(name) + 1;
        put(name, number);
        Cluster.require(get(name) == number, "get what was just put into the table " + name);
    }

    /** The number of the value; -1 if there is none. */
    private int get(String name) throws Exception {
        try (KeyValueTable table = open(name)) {
            TableEntry entry = table.get(Load.tableKey(0)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
            if (entry == null) {
                return -1;
            }
            byte[] value = Load.bytes(entry);
            int number = new Events.Parsed(value).number;
            byte[] expected = Load.value(name, 0, number).array();
            Cluster.require(Events.digest(value).equals(Events.digest(expected)), "get value " + number + " of the table " + name);
            return number;
        }
    }

    private void put(String name, int number) throws Exception {
        try (KeyValueTable table = open(name)) {
            table.update(new Put(Load.tableKey(0), Load.value(name, 0, number))).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
        }
    }

    private KeyValueTable open(String name) {
        return cluster.tableClients(Load.SCOPE).forKeyValueTable(name, KeyValueTableClientConfiguration.builder().build());
    }
}
