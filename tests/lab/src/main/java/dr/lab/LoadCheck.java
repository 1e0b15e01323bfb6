package dr.lab;

import io.pravega.client.byteStream.ByteStreamReader;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableClientConfiguration;
import io.pravega.client.tables.TableEntry;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;

/**
 * {@code LoadCheck --controller URI --acknowledged FILE --report FILE [--expected FILE]}: reads a load back.
 *
 * Figures say how much of what was acknowledged is lost; checks fail on what recovery must never do: gaps, a wrong order,
 * torn, doubled or foreign events, unreadable tables. A file of expectations says exactly what must be there, line by line:
 * <pre>
 * E scope/stream key number      an event; those of a key in their order, and no others
 * O scope/stream key number      the same, but from here on events of the key may be missing
 * U key number                   the value of a table key
 * T id number                    an event of a transaction; others may be there as well
 * L scope/stream key number      the last event of a key in the truncated stream
 * B scope/stream length          the end of the byte stream
 * </pre>
 */
public final class LoadCheck {
    /** How the keys of events begin that checks append. */
    private static final String APPENDED = "appended-";

    private final Cluster cluster;
    private final Checks checks = new Checks();
    private final Map<String, Object> figures = new LinkedHashMap<>();
    /** Path and key to the highest acknowledged number. */
    private final Map<String, Integer> events = new TreeMap<>();
    private final Map<Integer, Integer> updates = new TreeMap<>();
    private final Set<String> transactions = new HashSet<>();
    private final Set<String> neverCommitted = new HashSet<>();
    private final Set<String> created = new TreeSet<>();
    private long updateCount;
    /** States of what is above and below, at the last line that says that all before was flushed. */
    private Map<String, Integer> flushedEvents = Map.of();
    private Map<Integer, Integer> flushedUpdates = Map.of();
    private Set<String> flushedTransactions = Set.of();
    private Set<String> flushedCreated = Set.of();
    private long flushedBytes;
    private int flushedTruncation;
    private long bytes;
    private int truncation;
    private int begunTruncation;
    private final Map<String, Integer> expectedLast = new HashMap<>();
    private long expectedBytes = -1;
    private String run = "";
    /** Path and key to numbers; null if nothing exact is expected. */
    private Map<String, List<Integer>> expectedEvents;
    /** Path and key to how many of them must be there. */
    private final Map<String, Integer> required = new HashMap<>();
    private final Map<Integer, Integer> expectedValues = new TreeMap<>();
    private final Set<String> expectedInTransactions = new TreeSet<>();

    private LoadCheck(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        LoadCheck check = new LoadCheck(new Cluster(given.get("--controller")));
        check.parse(Files.readAllLines(Paths.get(given.get("--acknowledged"))));
        if (given.get("--expected", null) != null) {
            check.parseExpected(Files.readAllLines(Paths.get(given.get("--expected"))));
        }
        check.run();
        check.checks.finish(given.get("--report"), check.figures);
    }

    private void parse(List<String> lines) {
        for (String line : lines) {
            String[] words = line.split(" ");
            if (words[0].equals("R")) {
                run = words[1];
            } else if (words[0].equals("E") && words.length == 4) {
                events.merge(words[1] + " " + words[2], Integer.parseInt(words[3]), Math::max);
            } else if (words[0].equals("F")) {
                flushedEvents = new HashMap<>(events);
                flushedUpdates = new HashMap<>(updates);
                flushedTransactions = new HashSet<>(transactions);
                flushedCreated = new TreeSet<>(created);
                flushedBytes = bytes;
                flushedTruncation = truncation;
            } else if (words[0].equals("C") && words.length == 3) {
                created.add(words[1] + " " + words[2]);
            } else if (words[0].equals("B")) {
                bytes = Long.parseLong(words[2]);
            } else if (words[0].equals("x")) {
                begunTruncation = Integer.parseInt(words[2]);
            } else if (words[0].equals("X")) {
                truncation = Integer.parseInt(words[2]);
            } else if ((words[0].equals("U") || words[0].equals("D")) && words.length == 3) {
                updates.merge(Integer.parseInt(words[1]), Integer.parseInt(words[2]), Math::max);
                updateCount++;
            } else if (words[0].equals("T") && words.length == 4) {
                transactions.add(words[2]);
            } else if (words[0].equals("N") && words.length == 3) {
                neverCommitted.add(words[2]);
            } else {
                throw new IllegalStateException("not a line of acknowledgements: " + line);
            }
        }
    }

    private void parseExpected(List<String> lines) {
        expectedEvents = new HashMap<>();
        for (String line : lines) {
            String[] words = line.split(" ");
            if ((words[0].equals("E") || words[0].equals("O")) && words.length == 4) {
                String key = words[1] + " " + words[2];
                List<Integer> numbers = expectedEvents.computeIfAbsent(key, first -> new ArrayList<>());
                numbers.add(Integer.parseInt(words[3]));
                if (words[0].equals("E")) {
                    required.put(key, numbers.size());
                }
            } else if (words[0].equals("U") && words.length == 3) {
                expectedValues.put(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
            } else if (words[0].equals("L") && words.length == 4) {
                expectedLast.put(words[2], Integer.parseInt(words[3]));
            } else if (words[0].equals("B") && words.length == 3) {
                expectedBytes = Long.parseLong(words[2]);
            } else if (words[0].equals("T") && words.length == 3) {
                expectedInTransactions.add(words[1] + " " + words[2]);
            } else {
                throw new IllegalStateException("not a line of expectations: " + line);
            }
        }
    }

    /** The number that must come next, given how many of the key were read. */
    private int expectedNumber(String path, String key, int count) {
        if (expectedEvents == null) {
            return count;
        }
        List<Integer> numbers = expectedEvents.getOrDefault(path + " " + key, List.of());
        return count < numbers.size() ? numbers.get(count) : -1;
    }

    private void run() {
        String truncated = Load.SCOPE + "/" + Load.named(Load.TRUNCATED, run) + " ";
        events.keySet().removeIf(key -> key.startsWith(truncated));
        long acknowledged = events.values().stream().mapToLong(highest -> highest + 1L).sum();
        figures.put("acknowledged_events", acknowledged);
        figures.put("read_events", 0L);
        figures.put("lost_events", acknowledged);
        for (String kind : Load.STREAMS) {
            String stream = Load.named(kind, run);
            checks.check("load events " + kind, () -> events(Load.SCOPE + "/" + stream, stream));
        }
        figures.put("acknowledged_updates", updateCount);
        figures.put("lost_updates", (long) updates.size());
        checks.check("load table", this::table);
        figures.put("acknowledged_transactions", (long) transactions.size());
        figures.put("lost_transactions", (long) transactions.size());
        figures.put("torn_transactions", 0L);
        checks.check("load transactions", this::transactionEvents);
        checks.check("load truncated", this::truncatedEvents);
        checks.check("load bytes", this::byteStream);
        checks.check("load created", () -> new Created(cluster, run).check(created, flushedCreated));
    }

    /** Every key must hold an unbroken run from 0, each event exactly as it was written. */
    private String events(String path, String stream) {
        List<byte[]> read = Reading.bySegment(cluster, Load.SCOPE, stream, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED);
        Map<String, Integer> next = new HashMap<>();
        for (byte[] bytes : read) {
            Events.Parsed event = new Events.Parsed(bytes);
            int count = next.getOrDefault(event.key, 0);
            int expected = expectedNumber(path, event.key, count);
            String whole = Events.digest(Load.event(path, event.key, event.number));
            if (!event.stream.equals(path) || event.number != expected || !event.digest.equals(whole)) {
                return Checks.BAD + "key " + event.key + " expected number " + expected + " found " + event.stream + " number "
                    + event.number + (event.digest.equals(whole) ? "" : " with other content");
            }
            next.put(event.key, count + 1);
        }
        if (expectedEvents != null) {
            for (Map.Entry<String, List<Integer>> key : expectedEvents.entrySet()) {
                int found = next.getOrDefault(key.getKey().substring(key.getKey().indexOf(' ') + 1), 0);
                int least = required.getOrDefault(key.getKey(), 0);
                if (key.getKey().startsWith(path + " ") && found < least) {
                    return Checks.BAD + key.getKey() + ": " + least + " events expected, found " + found;
                }
            }
        }
        long lost = 0;
        long kept = 0;
        for (Map.Entry<String, Integer> highest : events.entrySet()) {
            if (highest.getKey().startsWith(path + " ")) {
                int acknowledged = highest.getValue() + 1;
                int found = next.getOrDefault(highest.getKey().substring(path.length() + 1), 0);
                if (found <= flushedEvents.getOrDefault(highest.getKey(), -1)) {
                    return Checks.BAD + highest.getKey() + ": flushed and lost behind " + found;
                }
                kept += Math.min(found, acknowledged);
                lost += Math.max(0, acknowledged - found);
            }
        }
        long keptHere = kept;
        figures.computeIfPresent("read_events", (name, sum) -> (Long) sum + keptHere);
        figures.computeIfPresent("lost_events", (name, sum) -> (Long) sum - keptHere);
        return read.size() + " events, " + lost + " acknowledged ones lost";
    }

    /** A value may be old, but it must be one that was written. */
    private String table() throws Exception {
        long lost = 0;
        int present = 0;
        String table = Load.named(Load.TABLE, run);
        try (KeyValueTable open = cluster.tableClients(Load.SCOPE)
                .forKeyValueTable(table, KeyValueTableClientConfiguration.builder().build())) {
            for (int key = 0; key < Load.TABLE_KEYS; key++) {
                TableEntry entry = open.get(Load.tableKey(key)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
                int number = -1;
                if (entry != null) {
                    present++;
                    byte[] value = Load.bytes(entry);
                    number = new Events.Parsed(value).number;
                    if (!Events.digest(value).equals(Events.digest(Load.value(table, key, number).array()))) {
                        return Checks.BAD + "key " + key + " holds what was never written";
                    }
                }
                String wrong = wrongAfterFlush(key, number);
                if (wrong != null) {
                    return Checks.BAD + wrong;
                }
                if (expectedEvents != null && key < Load.FIRST_REMOVED_KEY && number != expectedValues.getOrDefault(key, -1)) {
                    return Checks.BAD + "key " + key + " expected number " + expectedValues.get(key) + " found " + number;
                }
                if (number < updates.getOrDefault(key, -1) && !isRemoved(key, number)) {
                    lost++;
                }
            }
        }
        figures.put("lost_updates", lost);
        return present + " keys, " + lost + " older than acknowledged";
    }

    /** True if a key is absent because that was asked for last: acknowledged, or under way when the load was killed. */
    private boolean isRemoved(int key, int number) {
        int last = updates.getOrDefault(key, -1);
        return number < 0 && (Load.removes(key, last) || removalMayHaveFollowed(key, last));
    }

    /** True if the removal of a key behind this update was acknowledged, or was the next thing to do. */
    private boolean removalMayHaveFollowed(int key, int number) {
        long last = updates.entrySet().stream()
            .mapToLong(update -> (long) update.getValue() * Load.TABLE_KEYS + update.getKey()).max().orElse(-1);
        return Load.removes(key, number + 1) && (number + 1L) * Load.TABLE_KEYS + key <= last + 1;
    }

    /** What was flushed must not be undone: no older value, no removed key back, no key gone without a removal behind it. */
    private String wrongAfterFlush(int key, int number) {
        int flushed = flushedUpdates.getOrDefault(key, -1);
        if (number >= 0) {
            return number < flushed ? "key " + key + " number " + number + " is older than the flushed " + flushed : null;
        }
        boolean gone = flushed < 0 || Load.removes(key, flushed) || removalMayHaveFollowed(key, flushed);
        return gone ? null : "key " + key + " was flushed with number " + flushed + " and is gone";
    }

    /** An unbroken run of each key up to its last event; it begins where a truncation left it. */
    private String truncatedEvents() throws Exception {
        String stream = Load.named(Load.TRUNCATED, run);
        String path = Load.SCOPE + "/" + stream;
        Map<String, Integer> next = new TreeMap<>();
        Set<Integer> begins = new TreeSet<>();
        for (Events.Parsed event : truncatedStream(stream)) {
            boolean whole = event.digest.equals(Events.digest(Load.event(path, event.key, event.number)));
            if (whole && event.key.startsWith(APPENDED)) {
                continue;
            }
            if (!next.containsKey(event.key)) {
                begins.add(event.number);
            }
            int expected = next.getOrDefault(event.key, event.number);
            if (event.number != expected || !whole) {
                return Checks.BAD + "key " + event.key + " expected number " + expected + " found " + event.number;
            }
            next.put(event.key, expected + 1);
        }
        for (int begin : begins) {
            if (begin < flushedTruncation || begin > begunTruncation) {
                return Checks.BAD + "begins at " + begin + ", truncated between " + flushedTruncation + " and " + begunTruncation;
            }
        }
        for (Map.Entry<String, Integer> last : expectedLast.entrySet()) {
            // A key without events is right if the truncation took them all.
            int end = next.getOrDefault(last.getKey(), begunTruncation);
            if (end != last.getValue() + 1 && !(end > last.getValue() && !next.containsKey(last.getKey()))) {
                return Checks.BAD + "key " + last.getKey() + " ends before " + end + ", in Tier-2 is " + last.getValue();
            }
        }
        append(stream, path);
        return "begins at " + begins + ", ends " + next;
    }

    /** Writes to all segments, of which some may be truncated behind all that had reached Tier-2. The next check reads it. */
    private void append(String stream, String path) throws Exception {
        try (EventStreamWriter<byte[]> writer = cluster.clients(Load.SCOPE)
                .createEventWriter(stream, Events.SERIALIZER, EventWriterConfig.builder().build())) {
            for (int i = 0; i < Load.KEYS_PER_WRITER; i++) {
                String key = APPENDED + i;
                writer.writeEvent(key, Load.event(path, key, 0)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
            }
        }
    }

    /** Through a reader group, and by segment the same: the controller knows where every segment begins, so nobody is told of a truncation. */
    private List<Events.Parsed> truncatedStream(String stream) throws Exception {
        int least = expectedLast.values().stream().mapToInt(last -> Math.max(0, last + 1 - begunTruncation)).sum();
        Reading.Result read = Reading.throughGroup(cluster, Load.SCOPE, List.of(stream), least);
        List<byte[]> same = Reading.bySegment(cluster, Load.SCOPE, stream, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED);
        if (read.truncations > 0 || same.size() != read.events.size()) {
            throw new IllegalStateException(same.size() + " events by segment, " + read.events.size()
                + " through a group, which was told of " + read.truncations + " truncations");
        }
        return read.events;
    }

    private String byteStream() throws Exception {
        String stream = Load.named(Load.BYTES, run);
        try (ByteStreamReader reader = cluster.byteClients(Load.SCOPE).createByteStreamReader(stream)) {
            long end = reader.fetchTailOffset();
            byte[] content = new byte[(int) end];
            for (int read = 0; read < end;) {
                read += reader.read(content, read, content.length - read);
            }
            for (int i = 0; i < end; i++) {
                if (content[i] != Load.byteAt(i)) {
                    return Checks.BAD + "byte " + i + " of " + end + " was never written";
                }
            }
            return Checks.yes(end >= flushedBytes && (expectedBytes < 0 || end == expectedBytes),
                end + " bytes, acknowledged " + bytes + ", flushed " + flushedBytes + ", in Tier-2 " + expectedBytes);
        }
    }

    private String transactionEvents() {
        String stream = Load.named(Load.TRANSACTIONS, run);
        String path = Load.SCOPE + "/" + stream;
        Map<String, Set<Integer>> found = new TreeMap<>();
        for (byte[] bytes : Reading.bySegment(cluster, Load.SCOPE, stream, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED)) {
            Events.Parsed event = new Events.Parsed(bytes);
            if (!event.digest.equals(Events.digest(Load.event(path, event.key, event.number)))) {
                return Checks.BAD + "an event of transaction " + event.key + " has other content";
            }
            if (!found.computeIfAbsent(event.key, id -> new HashSet<>()).add(event.number)) {
                return Checks.BAD + "event " + event.number + " of transaction " + event.key + " is there twice";
            }
        }
        for (String id : neverCommitted) {
            if (found.containsKey(id)) {
                return Checks.BAD + "transaction " + id + " is there and was never committed";
            }
        }
        for (String expected : expectedInTransactions) {
            String[] words = expected.split(" ");
            if (!found.getOrDefault(words[0], Set.of()).contains(Integer.parseInt(words[1]))) {
                return Checks.BAD + "event " + words[1] + " of transaction " + words[0] + " is missing";
            }
        }
        long torn = found.values().stream().filter(numbers -> numbers.size() < Load.TRANSACTION_EVENTS).count();
        long lost = transactions.stream()
            .filter(id -> found.getOrDefault(id, Set.of()).size() < Load.TRANSACTION_EVENTS).count();
        for (String id : flushedTransactions) {
            if (found.getOrDefault(id, Set.of()).size() < Load.TRANSACTION_EVENTS) {
                return Checks.BAD + "transaction " + id + " was flushed and is not whole";
            }
        }
        figures.put("torn_transactions", torn);
        figures.put("lost_transactions", lost);
        return found.size() + " transactions, " + torn + " torn, " + lost + " acknowledged ones lost";
    }
}
