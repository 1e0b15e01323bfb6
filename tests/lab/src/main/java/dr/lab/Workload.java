package dr.lab;

import io.pravega.client.byteStream.ByteStreamWriter;
import io.pravega.client.stream.EventRead;
import io.pravega.client.stream.EventStreamReader;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.ReaderConfig;
import io.pravega.client.stream.RetentionPolicy;
import io.pravega.client.stream.ScalingPolicy;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import io.pravega.client.tables.KeyValueTable;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;

/** {@code Workload --controller URI --truth FILE --size small|medium|large}: uses every feature once and records what was acknowledged. */
public final class Workload {
    static final String ALPHA = "alpha";
    static final String BETA = "beta.2-x";
    static final String TABLES = "tables";
    /** Looks like the end of a chunk's name. */
    static final String ODD = "odd.E-1-O-7";
    /** Longest name that Pravega takes. */
    private static final int NAME_LENGTH_MAX = 250;
    /** Longest name of a table that a file system takes: the store appends {@code _kvtable}. */
    private static final int TABLE_NAME_LENGTH_MAX = 247;
    /** Retention by size acts on this stream within minutes. */
    static final String RETENTION_NOW = "retention-now";
    private static final int HALF_READ_GROUPS = 3;

    private final Cluster cluster;
    private final Truth truth = new Truth();
    private final Writing writing;
    private final int factor;

    private Workload(Cluster cluster, String size) {
        this.cluster = cluster;
        writing = new Writing(cluster, truth);
        truth.size = size;
        factor = size.equals("small") ? 1 : size.equals("medium") ? 10 : 50;
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        Workload workload = new Workload(new Cluster(given.get("--controller")), given.get("--size", "small"));
        workload.run();
        workload.truth.write(given.get("--truth"));
        System.exit(0);
    }

    private void run() throws Exception {
        for (String scope : List.of(ALPHA, BETA, TABLES, ODD, "empty")) {
            writing.scope(scope);
        }
        writing.scope("deleted-scope");
        Cluster.require(cluster.streams.deleteScope("deleted-scope"), "delete a scope");
        truth.scopes.remove("deleted-scope");
        truth.deletedScopes.add("deleted-scope");
        step("plain streams", this::plainStreams);
        step("a large event", this::largeEvent);
        step("odd names", this::oddNames);
        step("scaled streams", this::scaledStreams);
        step("ended streams", this::endedStreams);
        step("slow streams", this::slowStreams);
        step("policies and tags", this::policies);
        step("transactions", this::transactions);
        step("byte streams", this::byteStreams);
        step("synchronizers", this::synchronizers);
        step("tables", this::tables);
        step("watermarks", this::watermarks);
        step("half-read groups", this::halfReadGroups);
        step("spares", () -> spares(writing, 0));
    }

    /** One part of the workload. */
    interface Step {
        void run() throws Exception;
    }

    static void step(String name, Step step) throws Exception {
        long start = System.nanoTime();
        step.run();
        System.out.printf("%s: %d ms%n", name, (System.nanoTime() - start) / 1_000_000);
    }

    static StreamConfiguration fixed(int segments) {
        return StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(segments)).build();
    }

    private void plainStreams() throws Exception {
        Truth.StreamTruth fixed = writing.stream(ALPHA, "fixed", fixed(2));
        writing.events(fixed, 5, 100 * factor);
        cutPair(fixed, 40 * factor);
        writing.stream(ALPHA, "never-written", fixed(3));
        writing.events(writing.stream(BETA, "single", fixed(1)), 1, 60 * factor);
        // The same name in another scope must not be mixed up.
        writing.events(writing.stream(BETA, "fixed", fixed(1)), 2, 10 * factor);
        // Names that look like Pravega's own suffixes.
        writing.events(writing.stream(BETA, "a.epoch.1-transaction.0", fixed(1)), 2, 5);
    }

    private void largeEvent() throws Exception {
        Truth.StreamTruth large = writing.stream(BETA, "large", fixed(1));
        writing.events(large, 2, 4);
        writing.largeEvent(large, "key-0");
        writing.events(large, 2, 4);
    }

    /** Names that look like parts of Pravega's own, or like each other; it takes letters, digits, '.' and '-'. */
    private void oddNames() throws Exception {
        for (String name : List.of("scaleGroup", "event-processor", "container1", "container10", "0", "metadata.0",
                "a.E-2-O-40.00000000-0000-4000-8000-000000000000", "l".repeat(NAME_LENGTH_MAX))) {
            writing.events(writing.stream(ODD, name, fixed(1)), 2, 6);
        }
        Truth.StreamTruth chunk = writing.stream(ODD, "chunk.E-3-O-0", fixed(1));
        writing.events(chunk, 3, 12);
        try (TransactionalEventStreamWriter<byte[]> writer = writing.transactionalWriter(ODD, chunk.name)) {
            writing.new Pending(chunk, writer, 3).commit();
        }
        writing.scale(chunk, 2);
        writing.events(chunk, 3, 12);
        fill(writing.table(ODD, "table.E-4-O-9", 1, 4, 0), 8);
        fill(writing.table(ODD, "k".repeat(TABLE_NAME_LENGTH_MAX), 1, 4, 0), 8);
    }

    /** Records two stream cuts and what is written between them. */
    private void cutPair(Truth.StreamTruth stream, int count) throws Exception {
        Truth.CutTruth cut = new Truth.CutTruth();
        cut.scope = stream.scope;
        cut.stream = stream.name;
        cut.from = cluster.tail(stream.scope, stream.name).asText();
        Truth.StreamTruth between = new Truth.StreamTruth();
        between.scope = stream.scope;
        between.name = stream.name;
        between.nextNumber = stream.nextNumber;
        writing.events(between, 4, count);
        between.events.forEach((key, digests) ->
            stream.events.computeIfAbsent(key, k -> new java.util.ArrayList<>()).addAll(digests));
        cut.events = between.events;
        cut.to = cluster.tail(stream.scope, stream.name).asText();
        truth.cuts.add(cut);
    }

    private void scaledStreams() throws Exception {
        Truth.StreamTruth scaled = writing.stream(ALPHA, "scaled", fixed(1));
        writing.events(scaled, 7, 40 * factor);
        writing.scale(scaled, 2);
        writing.events(scaled, 7, 40 * factor);
        writing.scale(scaled, 4);
        cutPair(scaled, 30 * factor);
        writing.scale(scaled, 1);
        writing.events(scaled, 7, 40 * factor);
        Truth.StreamTruth both = writing.stream(ALPHA, "scaled-truncated", fixed(2));
        writing.events(both, 4, 30 * factor);
        writing.scale(both, 3);
        writing.events(both, 4, 20);
        writing.truncateHere(both);
        writing.events(both, 4, 30 * factor);
        // No events between: a scaled segment without a byte.
        writing.scale(both, 2);
        writing.events(both, 4, 10);
    }

    private void endedStreams() throws Exception {
        Truth.StreamTruth truncated = writing.stream(ALPHA, "truncated", fixed(2));
        writing.events(truncated, 6, 60 * factor);
        writing.truncateHere(truncated);
        writing.events(truncated, 6, 40 * factor);
        Truth.StreamTruth sealed = writing.stream(ALPHA, "sealed", fixed(2));
        writing.events(sealed, 3, 40 * factor);
        writing.seal(sealed);
        Truth.StreamTruth deleted = writing.stream(ALPHA, "deleted", fixed(2));
        writing.events(deleted, 3, 40 * factor);
        writing.delete(deleted);
        Truth.StreamTruth emptied = writing.stream(ALPHA, "emptied", fixed(1));
        writing.events(emptied, 1, 20);
        writing.truncateHere(emptied);
    }

    /** Streams that reach Tier-2 in several flushes: several chunks where the storage does not append. */
    private void slowStreams() throws Exception {
        Truth.StreamTruth slow = writing.stream(ALPHA, "slow", fixed(1));
        Truth.StreamTruth truncated = writing.stream(ALPHA, "slow-truncated", fixed(1));
        for (int round = 0; round < 4; round++) {
            writing.events(slow, 3, 15 * factor);
            writing.events(truncated, 3, 15 * factor);
            if (round == 2) {
                writing.truncateHere(truncated);
            }
            Thread.sleep(1_300);
        }
    }

    private void policies() throws Exception {
        StreamConfiguration bySize = StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(1))
            .retentionPolicy(RetentionPolicy.bySizeBytes(1L << 40)).tag("kept").tag("by-size").build();
        writing.events(writing.stream(BETA, "retained-by-size", bySize), 2, 20 * factor);
        StreamConfiguration byTime = StreamConfiguration.builder().scalingPolicy(ScalingPolicy.byDataRate(1_000_000, 2, 2))
            .retentionPolicy(RetentionPolicy.byTime(Duration.ofDays(7), Duration.ofDays(30))).tag("kept").build();
        writing.events(writing.stream(BETA, "retained-by-time", byTime), 2, 20 * factor);
        StreamConfiguration byRate = StreamConfiguration.builder()
            .scalingPolicy(ScalingPolicy.byEventRate(100_000, 2, 2)).tag("auto").build();
        writing.events(writing.stream(BETA, "by-rate", byRate), 2, 20 * factor);
        StreamConfiguration now = StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(1))
            .retentionPolicy(RetentionPolicy.bySizeBytes(20_000)).build();
        Truth.StreamTruth cut = writing.stream(BETA, RETENTION_NOW, now);
        cut.retentionCuts = true;
        writing.events(cut, 1, 30);
        // A configuration that was changed after the stream was created.
        Truth.StreamTruth updated = writing.stream(BETA, "updated", fixed(1));
        StreamConfiguration after = StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(1))
            .retentionPolicy(RetentionPolicy.byTime(Duration.ofDays(365))).tag("kept").tag("updated").build();
        Cluster.require(cluster.streams.updateStream(BETA, "updated", after), "update a stream");
        updated.configuredAs(after);
        writing.events(updated, 1, 10);
    }

    private void transactions() throws Exception {
        Truth.StreamTruth stream = writing.stream(ALPHA, "transactions", fixed(2));
        writing.events(stream, 2, 10);
        try (TransactionalEventStreamWriter<byte[]> writer = writing.transactionalWriter(ALPHA, stream.name)) {
            for (int i = 0; i < 3; i++) {
                writing.new Pending(stream, writer, 8 * factor).commit();
                writing.new Pending(stream, writer, 5).abort();
            }
            // Open while the stream is scaled: its commit makes epochs of its own.
            Writing.Pending across = writing.new Pending(stream, writer, 6);
            writing.scale(stream, 3);
            across.commit();
            writing.noteSegments(stream);
            writing.events(stream, 2, 10);
            for (int i = 0; i < 2; i++) {
                writing.new Pending(stream, writer, 7);
            }
        }
    }

    private void byteStreams() throws Exception {
        byteStream("bytes", 30_000 * factor, 0, false);
        byteStream("bytes-truncated", 20_000 * factor, 7_777, false);
        byteStream("bytes-sealed", 5_000, 0, true);
        // Both look like event streams: each eight bytes are the header of an event.
        byteStream("bytes-zero", 4_097, 0, false);
        byteStream("bytes-numbers", 8_003, 0, false);
    }

    private void byteStream(String name, int length, long head, boolean sealed) throws Exception {
        Cluster.require(cluster.createStream(ALPHA, name, fixed(1)), "create byte stream " + name);
        byte[] content = new byte[length];
        if (name.equals("bytes-numbers")) {
            ByteBuffer numbers = ByteBuffer.wrap(content);
            for (long number = 1_000; numbers.remaining() >= Long.BYTES; number += Long.BYTES) {
                numbers.putLong(number);
            }
        } else if (!name.equals("bytes-zero")) {
            for (int i = 0; i < length; i++) {
                content[i] = (byte) (i * 7 + i / 251);
            }
        }
        try (ByteStreamWriter writer = cluster.byteClients(ALPHA).createByteStreamWriter(name)) {
            writer.write(content);
            writer.flush();
            if (head > 0) {
                writer.truncateDataBefore(head);
            }
            if (sealed) {
                writer.closeAndSeal();
            }
        }
        Truth.BytesTruth bytes = new Truth.BytesTruth();
        bytes.scope = ALPHA;
        bytes.name = name;
        bytes.head = head;
        bytes.tail = length;
        bytes.sealed = sealed;
        bytes.digest = Events.digest(Arrays.copyOfRange(content, (int) head, length));
        truth.byteStreams.add(bytes);
    }

    private void synchronizers() throws Exception {
        Synchronizers synchronizers = new Synchronizers(cluster);
        truth.synchronizers.add(synchronizers.make(ALPHA, "synchronizer", 20, false));
        truth.synchronizers.add(synchronizers.make(ALPHA, "synchronizer-truncated", 12, true));
    }

    private void tables() throws Exception {
        fill(writing.table(TABLES, "small-keys", 2, 4, 0), 40 * factor);
        fill(writing.table(TABLES, "two-part-keys", 3, 8, 8), 30 * factor);
        Truth.TableTruth conditional = writing.table(TABLES, "conditional", 1, 16, 0);
        conditional.touchedByChecker = true;
        fill(conditional, 20);
        writing.table(TABLES, "empty", 2, 4, 4);
        Truth.TableTruth emptied = writing.table(TABLES, "emptied", 1, 4, 0);
        fill(emptied, 8);
        try (KeyValueTable open = writing.open(emptied)) {
            for (int i = 0; i < 8; i++) {
                writing.remove(emptied, open, i);
            }
        }
        Truth.TableTruth deleted = writing.table(TABLES, "deleted", 1, 4, 0);
        fill(deleted, 5);
        Cluster.require(cluster.tables.deleteKeyValueTable(TABLES, "deleted"), "delete a table");
        truth.tables.remove(deleted);
        truth.deletedTables.add(deleted.path());
        spareTable(writing, 0);
    }

    static void spareTable(Writing writing, int round) {
        writing.table(TABLES, "spare-" + round, 1, 4, 0);
    }

    /** Inserts, updates a third, removes a quarter, and brings some of the removed back. */
    private void fill(Truth.TableTruth table, int count) throws Exception {
        try (KeyValueTable open = writing.open(table)) {
            for (int i = 0; i < count; i++) {
                writing.insert(table, open, i);
            }
            for (int i = 0; i < count; i += 3) {
                writing.put(table, open, i, 1);
            }
            for (int i = 1; i < count; i += 4) {
                writing.remove(table, open, i);
            }
            for (int i = 1; i < count; i += 12) {
                writing.insert(table, open, i);
            }
        }
    }

    private void watermarks() throws Exception {
        Truth.StreamTruth stream = writing.stream(BETA, "watermarked", fixed(2));
        stream.firstTime = 1_000_000;
        try (EventStreamWriter<byte[]> writer = writing.writer(stream)) {
            for (int round = 0; round < 3; round++) {
                writing.events(stream, writer, 4, 12);
                stream.lastTime = stream.firstTime + round * 1_000L;
                writer.noteTime(stream.lastTime);
                Thread.sleep(2_500);
            }
            for (int attempt = 0; attempt < 6; attempt++) {
                Reading.Result read = Reading.throughGroup(cluster, BETA, List.of(stream.name), stream.count());
                System.out.println("window " + read.window);
                if (read.markedTime() != null) {
                    return;
                }
                // A watermark covers what was written before it.
                writing.events(stream, writer, 4, 4);
                stream.lastTime += 1_000;
                writer.noteTime(stream.lastTime);
            }
        }
        throw new IllegalStateException("the controller wrote no watermark");
    }

    private void halfReadGroups() throws Exception {
        List<String> streams = List.of("fixed", "scaled");
        int all = streams.stream().mapToInt(name -> truth.stream(ALPHA, name).count()).sum();
        for (int i = 0; i < HALF_READ_GROUPS; i++) {
            Truth.GroupTruth group = new Truth.GroupTruth();
            group.scope = ALPHA;
            group.name = "half-" + i;
            group.streams.addAll(streams);
            cluster.groups(ALPHA).createReaderGroup(group.name, Reading.groupConfig(ALPHA, streams));
            readSome(group, all * (i + 1) / (HALF_READ_GROUPS + 1));
            truth.groups.add(group);
        }
    }

    private void readSome(Truth.GroupTruth group, int wanted) throws Exception {
        long end = System.currentTimeMillis() + 120_000;
        try (EventStreamReader<byte[]> reader = cluster.clients(group.scope)
                .createReader("first", group.name, Events.SERIALIZER, ReaderConfig.builder().build())) {
            while (group.read.size() < wanted && System.currentTimeMillis() < end) {
                EventRead<byte[]> read = reader.readNextEvent(1_000);
                if (read.getEvent() != null) {
                    group.read.add(Events.digest(read.getEvent()));
                }
            }
        }
        Cluster.require(group.read.size() == wanted, "read half of " + group.name);
    }

    /** Streams and a table that the next round of "more" seals and deletes. */
    static void spares(Writing writing, int round) throws Exception {
        for (String purpose : List.of("seal", "delete", "truncate", "scale")) {
            writing.events(writing.stream(ALPHA, "spare-" + purpose + "-" + round, fixed(1)), 2, 12);
        }
    }
}
