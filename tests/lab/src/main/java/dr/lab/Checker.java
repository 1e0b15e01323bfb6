package dr.lab;

import io.pravega.client.byteStream.ByteStreamReader;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.tables.IteratorItem;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.Put;
import io.pravega.client.tables.TableEntry;
import io.pravega.client.tables.TableKey;
import io.pravega.client.tables.Version;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** {@code Checker --controller URI --truth FILE --report FILE}: reads everything back and compares it with the truth. */
public final class Checker {
    private final Cluster cluster;
    private final Truth truth;
    private final String truthFile;
    private final Checks checks = new Checks();

    private Checker(Cluster cluster, String truthFile) throws Exception {
        this.cluster = cluster;
        this.truthFile = truthFile;
        truth = Truth.read(truthFile);
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        Checker checker = new Checker(new Cluster(given.get("--controller")), given.get("--truth"));
        checker.run();
        checker.checks.finish(given.get("--report"), Map.of());
    }

    private void run() throws Exception {
        names();
        for (Truth.StreamTruth stream : truth.streams) {
            stream(stream);
        }
        allThroughReaderGroups();
        truth.cuts.forEach(cut ->
            checks.check("stream cut " + cut.scope + "/" + cut.stream, () -> cut(cut)));
        transactions();
        truth.byteStreams.forEach(bytes -> checks.check("byte stream " + bytes.scope + "/" + bytes.name, () -> bytes(bytes)));
        Synchronizers synchronizers = new Synchronizers(cluster);
        truth.synchronizers.forEach(one -> checks.check("synchronizer " + one.path(), () -> synchronizers.check(one)));
        truth.tables.forEach(this::table);
        halfReadGroup();
        for (String deleted : truth.deletedStreams) {
            checks.check("deleted stream " + deleted, () -> deleted(deleted));
        }
    }

    private void names() {
        checks.check("scopes", () -> {
            Set<String> found = new TreeSet<>();
            cluster.streams.listScopes().forEachRemaining(found::add);
            found.remove("_system");
            // A load has a scope of its own, which this truth does not know.
            found.remove(Load.SCOPE);
            truth.otherScopes.forEach(found::remove);
            return Checks.same(new TreeSet<>(truth.scopes), found);
        });
        for (String scope : truth.scopes) {
            checks.check("streams of scope " + scope, () -> {
                Set<String> expected = truth.streams.stream().filter(s -> s.scope.equals(scope)).map(s -> s.name)
                    .collect(Collectors.toCollection(TreeSet::new));
                truth.byteStreams.stream().filter(b -> b.scope.equals(scope)).forEach(b -> expected.add(b.name));
                truth.synchronizers.stream().filter(s -> s.scope.equals(scope)).forEach(s -> expected.add(s.name));
                return Checks.same(expected, listed(cluster.streams.listStreams(scope)));
            });
            checks.check("tables of scope " + scope, () -> {
                Set<String> expected = truth.tables.stream().filter(t -> t.scope.equals(scope)).map(t -> t.name)
                    .collect(Collectors.toCollection(TreeSet::new));
                Set<String> found = new TreeSet<>();
                cluster.tables.listKeyValueTables(scope).forEachRemaining(table -> found.add(table.getKeyValueTableName()));
                return Checks.same(expected, found);
            });
        }
        Map<String, TreeSet<String>> byTag = new TreeMap<>();
        truth.streams.forEach(stream -> stream.tags.forEach(tag ->
            byTag.computeIfAbsent(stream.scope + " " + tag, any -> new TreeSet<>()).add(stream.name)));
        byTag.forEach((scopeAndTag, expected) -> checks.check("streams with tag " + scopeAndTag, () -> {
            String[] parts = scopeAndTag.split(" ");
            return Checks.same(expected, listed(cluster.streams.listStreams(parts[0], parts[1])));
        }));
    }

    private static TreeSet<String> listed(java.util.Iterator<Stream> streams) {
        TreeSet<String> names = new TreeSet<>();
        streams.forEachRemaining(stream -> names.add(stream.getStreamName()));
        // Streams that Pravega keeps for itself.
        names.removeIf(name -> name.startsWith("_"));
        return names;
    }

    private void stream(Truth.StreamTruth stream) {
        checks.check("configuration " + stream.path(), () -> {
            StreamConfiguration found = cluster.controller.getStreamConfiguration(stream.scope, stream.name)
                .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
            Truth.StreamTruth configured = new Truth.StreamTruth().configuredAs(found);
            Set<String> tags = new TreeSet<>(cluster.streams.getStreamTags(stream.scope, stream.name));
            return Checks.same(stream.configurationText() + " " + stream.tags, configured.configurationText() + " " + tags);
        });
        checks.check("segments " + stream.path(), () ->
            Checks.same(stream.currentSegments, cluster.currentSegments(stream.scope, stream.name)));
        // Epochs before a truncation are history that the controller may forget.
        if (!stream.truncated && !stream.retentionCuts && !stream.sealed) {
            checks.check("epochs " + stream.path(), () -> {
                Map<Integer, List<Long>> found = new TreeMap<>();
                for (int epoch : stream.epochs.keySet()) {
                    found.put(epoch, cluster.epochSegments(stream.scope, stream.name, epoch));
                }
                return Checks.same(stream.epochs, found);
            });
        }
        checks.check("events by segment " + stream.path(), () -> {
            List<byte[]> read = Reading.bySegment(cluster, stream.scope, stream.name, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED);
            return events(stream, Reading.parse(read));
        });
        if (stream.sealed) {
            checks.check("sealed " + stream.path(), () -> sealed(stream));
        }
        if (stream.truncated) {
            checks.check("truncated " + stream.path(), () -> {
                long removed = offsets(cluster.head(stream.scope, stream.name));
                return Checks.yes(removed > 0, "head at " + removed);
            });
        }
        if (stream.lastTime > 0) {
            checks.check("watermarks " + stream.path(), () -> {
                Reading.Result read = Reading.throughGroup(cluster, stream.scope, List.of(stream.name), stream.count());
                Long time = read.markedTime();
                boolean right = time != null && time >= stream.firstTime && time <= stream.lastTime;
                return Checks.yes(right, "window " + read.window + " of " + stream.firstTime + ".." + stream.lastTime);
            });
        }
    }

    private static long offsets(StreamCut cut) {
        return cut.asImpl().getPositions().values().stream().mapToLong(Long::longValue).sum();
    }

    private static String events(Truth.StreamTruth stream, List<Events.Parsed> read) {
        Map<String, List<String>> found = Reading.byKey(read, stream.path());
        long foreign = read.stream().filter(event -> !event.stream.equals(stream.path())).count();
        if (foreign > 0) {
            return Checks.BAD + foreign + " events of other streams";
        }
        Map<String, List<String>> expected = stream.retentionCuts ? suffixes(stream.events, found) : stream.events;
        String difference = Reading.difference(expected, found);
        return difference == null ? read.size() + " events, " + found.size() + " keys" : Checks.BAD + difference;
    }

    /** The last events of each key, as many as were found but at least one: what retention may leave. */
    private static Map<String, List<String>> suffixes(Map<String, List<String>> all, Map<String, List<String>> found) {
        Map<String, List<String>> expected = new TreeMap<>();
        all.forEach((key, digests) -> {
            int count = Math.min(digests.size(), Math.max(1, found.getOrDefault(key, List.of()).size()));
            expected.put(key, digests.subList(digests.size() - count, digests.size()));
        });
        return expected;
    }

    /** One group per scope over all its streams: what applications do. */
    private void allThroughReaderGroups() {
        for (String scope : truth.scopes) {
            List<Truth.StreamTruth> streams = truth.streams.stream()
                .filter(stream -> stream.scope.equals(scope) && !stream.retentionCuts).collect(Collectors.toList());
            if (streams.isEmpty()) {
                continue;
            }
            checks.check("events by reader group, scope " + scope, () -> {
                List<String> names = streams.stream().map(stream -> stream.name).collect(Collectors.toList());
                int expected = streams.stream().mapToInt(Truth.StreamTruth::count).sum();
                Reading.Result read = Reading.throughGroup(cluster, scope, names, expected);
                for (Truth.StreamTruth stream : streams) {
                    String difference = Reading.difference(stream.events, Reading.byKey(read.events, stream.path()));
                    if (difference != null) {
                        return Checks.BAD + stream.path() + " " + difference;
                    }
                }
                return Checks.same(expected, read.events.size());
            });
        }
    }

    private String sealed(Truth.StreamTruth stream) throws Exception {
        // A writer on a sealed stream fails or never completes; what counts is that nothing is accepted.
        boolean accepted;
        try (EventStreamWriter<byte[]> writer = new Writing(cluster, truth).writer(stream)) {
            writer.writeEvent("key", Events.make(stream.path(), "must-not-be", 0, 50)).get(10, TimeUnit.SECONDS);
            accepted = true;
        } catch (Exception refused) {
            accepted = false;
        }
        boolean sealed = cluster.info(stream.scope, stream.name).isSealed();
        return Checks.yes(sealed && !accepted, "sealed " + sealed + ", write accepted " + accepted);
    }

    private String cut(Truth.CutTruth cut) {
        List<byte[]> read = Reading.bySegment(cluster, cut.scope, cut.stream, StreamCut.from(cut.from), StreamCut.from(cut.to));
        String path = cut.scope + "/" + cut.stream;
        String difference = Reading.difference(cut.events, Reading.byKey(Reading.parse(read), path));
        return difference == null ? read.size() + " events between" : Checks.BAD + difference;
    }

    private void transactions() {
        checks.check("transaction states", () -> {
            Map<String, Integer> counts = new TreeMap<>();
            for (Truth.TransactionTruth transaction : truth.transactions) {
                String found = cluster.controller
                    .checkTransactionStatus(Stream.of(transaction.scope, transaction.stream), UUID.fromString(transaction.id))
                    .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS).name();
                if (!found.equals(transaction.status)) {
                    return Checks.BAD + transaction.id + " expected " + transaction.status + " found " + found;
                }
                counts.merge(found, 1, Integer::sum);
            }
            return counts.toString();
        });
        checks.check("transactions whole or absent", () -> {
            Set<String> streams = new TreeSet<>();
            truth.transactions.forEach(transaction -> streams.add(transaction.scope + "/" + transaction.stream));
            Set<String> present = new HashSet<>();
            for (String path : streams) {
                String[] parts = path.split("/");
                Reading.parse(Reading.bySegment(cluster, parts[0], parts[1], StreamCut.UNBOUNDED, StreamCut.UNBOUNDED))
                    .forEach(event -> present.add(event.digest));
            }
            for (Truth.TransactionTruth transaction : truth.transactions) {
                long there = transaction.digests.stream().filter(present::contains).count();
                long expected = transaction.status.equals("COMMITTED") ? transaction.digests.size() : 0;
                if (there != expected) {
                    return Checks.BAD + transaction.id + " " + transaction.status + ": " + there + " of "
                        + transaction.digests.size() + " events are there";
                }
            }
            return truth.transactions.size() + " transactions";
        });
    }

    private String bytes(Truth.BytesTruth bytes) throws Exception {
        try (ByteStreamReader reader = cluster.byteClients(bytes.scope).createByteStreamReader(bytes.name)) {
            long head = reader.fetchHeadOffset();
            long tail = reader.fetchTailOffset();
            if (head != bytes.head || tail != bytes.tail) {
                return Checks.BAD + "expected " + bytes.head + ".." + bytes.tail + " found " + head + ".." + tail;
            }
            reader.seekToOffset(head);
            byte[] content = new byte[(int) (tail - head)];
            int read = 0;
            while (read < content.length) {
                int count = reader.read(content, read, content.length - read);
                if (count < 0) {
                    return Checks.BAD + "ended at " + (head + read);
                }
                read += count;
            }
            boolean sealed = cluster.info(bytes.scope, bytes.name).isSealed();
            // Sealing through the byte stream seals the segment, not the stream.
            if (bytes.sealed && !sealed && reader.read() >= 0) {
                return Checks.BAD + "more bytes behind the end of a sealed byte stream";
            }
            return Checks.same(bytes.digest, Events.digest(content));
        }
    }

    private void table(Truth.TableTruth table) {
        checks.check("table " + table.path(), () -> compare(cluster, truth, table));
        if (table.touchedByChecker) {
            checks.check("conditional updates " + table.path(), () -> conditional(table));
        }
    }

    /** Compares all entries of a table, iterated and one by one, with the truth. */
    static String compare(Cluster cluster, Truth truth, Truth.TableTruth table) throws Exception {
        try (KeyValueTable open = new Writing(cluster, truth).open(table)) {
            Map<String, String> expected = new TreeMap<>();
            table.entries.forEach((key, entry) ->
                expected.put(key, entry.digest + (table.touchedByChecker ? "" : " " + entry.version)));
            Map<String, String> found = entries(table, open);
            if (!expected.equals(found)) {
                return Checks.BAD + firstDifference(expected, found);
            }
            return found.size() + " entries, " + getOneByOne(table, open);
        }
    }

    private static String firstDifference(Map<String, String> expected, Map<String, String> found) {
        TreeMap<String, String> all = new TreeMap<>(expected);
        all.putAll(found);
        for (String key : all.keySet()) {
            if (!java.util.Objects.equals(expected.get(key), found.get(key))) {
                return "key " + key + " expected " + expected.get(key) + " found " + found.get(key) + " (" + expected.size()
                    + " expected, " + found.size() + " found)";
            }
        }
        return "";
    }

    private static Map<String, String> entries(Truth.TableTruth table, KeyValueTable open) throws Exception {
        Map<String, String> found = new TreeMap<>();
        var iterator = open.iterator().maxIterationSize(50).all().entries();
        while (true) {
            IteratorItem<TableEntry> item = iterator.getNext().get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
            if (item == null) {
                return found;
            }
            for (TableEntry entry : item.getItems()) {
                String version = table.touchedByChecker ? "" : " " + entry.getVersion();
                found.put(hex(entry.getKey()), Events.digest(bytes(entry.getValue())) + version);
            }
        }
    }

    /** By key, since an iterator and a lookup take different ways through the store. */
    private static String getOneByOne(Truth.TableTruth table, KeyValueTable open) throws Exception {
        for (String key : table.entries.keySet()) {
            TableEntry entry = open.get(key(table, key)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
            Cluster.require(entry != null && Events.digest(bytes(entry.getValue())).equals(table.entries.get(key).digest),
                "get " + key + " as recorded");
        }
        for (String key : table.removedKeys) {
            Cluster.require(!open.exists(key(table, key)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS),
                "removed key " + key + " absent");
        }
        return table.removedKeys.size() + " removed";
    }

    /** An update on condition of the version just read succeeds, one on condition of an old version does not. */
    private String conditional(Truth.TableTruth table) throws Exception {
        int done = 0;
        try (KeyValueTable open = new Writing(cluster, truth).open(table)) {
            for (String key : table.entries.keySet()) {
                TableKey tableKey = key(table, key);
                TableEntry entry = open.get(tableKey).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
                Version old = entry.getVersion();
                open.update(new Put(tableKey, entry.getValue(), old)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
                boolean accepted;
                try {
                    open.update(new Put(tableKey, entry.getValue(), old)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
                    accepted = true;
                } catch (java.util.concurrent.ExecutionException badVersion) {
                    accepted = false;
                }
                Cluster.require(!accepted, "update of " + key + " with an old version");
                done++;
            }
        }
        return done + " updates by version";
    }

    private static TableKey key(Truth.TableTruth table, String hex) {
        byte[] key = new byte[hex.length() / 2];
        for (int i = 0; i < key.length; i++) {
            key[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
        }
        return Writing.tableKey(table, key);
    }

    private static String hex(TableKey key) {
        byte[] primary = bytes(key.getPrimaryKey());
        byte[] secondary = key.getSecondaryKey() == null ? new byte[0] : bytes(key.getSecondaryKey());
        return Events.hex(primary, primary.length) + Events.hex(secondary, secondary.length);
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    /** Continues a group where it stopped. That is possible once per group, so a file beside the truth says which ones are used up. */
    private void halfReadGroup() throws Exception {
        Path usedFile = Paths.get(truthFile + ".groups-used");
        int used = Files.exists(usedFile) ? Integer.parseInt(Files.readString(usedFile).trim()) : 0;
        if (used >= truth.groups.size()) {
            System.out.println("no check of a half-read group: earlier runs continued all " + used);
            return;
        }
        Files.writeString(usedFile, Integer.toString(used + 1));
        checks.check("half-read reader group", () -> continued(truth.groups.get(used)));
    }

    private String continued(Truth.GroupTruth group) throws Exception {
        Map<String, Integer> missing = new HashMap<>();
        for (String stream : group.streams) {
            truth.stream(group.scope, stream).events.values()
                .forEach(digests -> digests.forEach(digest -> missing.merge(digest, 1, Integer::sum)));
        }
        group.read.forEach(digest -> missing.merge(digest, -1, Integer::sum));
        int expected = missing.values().stream().mapToInt(Integer::intValue).sum();
        Reading.Result read = Reading.continueGroup(cluster, group.scope, group.name, expected, group.streams.get(0));
        List<String> again = new ArrayList<>();
        for (Events.Parsed event : read.events) {
            if (missing.merge(event.digest, -1, Integer::sum) < 0) {
                again.add(event.stream + " " + event.key + " " + event.number);
            }
        }
        long never = missing.values().stream().filter(count -> count > 0).count();
        return Checks.yes(never == 0 && again.isEmpty(), group.name + ": " + group.read.size() + " read before, "
            + read.events.size() + " now, " + never + " never, again " + again);
    }

    private String deleted(String path) throws Exception {
        String[] parts = path.split("/");
        boolean exists = cluster.controller.checkStreamExists(parts[0], parts[1]).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
        return Checks.yes(!exists, "exists " + exists);
    }
}
