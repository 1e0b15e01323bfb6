package dr.lab;

import io.pravega.client.admin.ReaderGroupManager;
import io.pravega.client.stream.ReaderGroup;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableClientConfiguration;
import io.pravega.client.tables.TableEntry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * {@code SurvivorsCheck --controller URI --record FILE --held FILE --report FILE}: whether the clients of {@link Survivors} went on
 * as they should. {@code --held} names the events that Tier-2 held when the cluster was lost, a line {@code key number} each.
 */
public final class SurvivorsCheck {
    private final Cluster cluster;
    private final Checks checks = new Checks();
    private final Map<String, Object> figures = new LinkedHashMap<>();
    private final Set<String> held;
    /** Events by whether they were acknowledged before the loss or after the recovery. */
    private final Set<String> acknowledgedBefore = new HashSet<>();
    private final Set<String> acknowledgedAfter = new HashSet<>();
    private final Map<String, Set<String>> deliveredBefore = new HashMap<>();
    private final Map<String, List<String>> deliveredAfter = new HashMap<>();
    private final Set<String> committedBefore = new TreeSet<>();
    private final Set<String> committedAfter = new TreeSet<>();
    private final Set<String> begun = new TreeSet<>();
    private final Set<String> begunBefore = new TreeSet<>();
    /** Name to how it ended. */
    private final Map<String, String> openEnded = new TreeMap<>();
    private final Map<Integer, Integer> updatedAfter = new TreeMap<>();
    private final List<String> hangs = new ArrayList<>();
    /** What was delivered and is no event. */
    private final List<String> torn = new ArrayList<>();
    private final Set<String> notes = new LinkedHashSet<>();
    private int reinitialized;
    private boolean ended;
    /** What is in the stream now, in the order of each key. */
    private List<String> present = List.of();

    private SurvivorsCheck(Cluster cluster, Set<String> held) {
        this.cluster = cluster;
        this.held = held;
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        Set<String> held = new HashSet<>(Files.readAllLines(Paths.get(given.get("--held"))));
        SurvivorsCheck check = new SurvivorsCheck(new Cluster(given.get("--controller")), held);
        check.parse(Paths.get(given.get("--record")));
        check.run();
        check.checks.finish(given.get("--report"), check.figures);
    }

    private void parse(Path record) throws Exception {
        boolean recovered = false;
        for (String line : Files.readAllLines(record)) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "P":
                    recovered |= words[1].equals("recovered");
                    ended |= words[1].equals("ended");
                    break;
                case "E":
                    (recovered ? acknowledgedAfter : acknowledgedBefore).add(words[1] + " " + words[2]);
                    break;
                case "D":
                    noteDelivery(words[1], words[3] + " " + words[4], recovered);
                    break;
                case "Z":
                    torn.add(line);
                    break;
                case "I":
                    reinitialized++;
                    break;
                case "B":
                    begun.add(words[1]);
                    if (!recovered) {
                        begunBefore.add(words[1]);
                    }
                    break;
                case "T":
                    (recovered ? committedAfter : committedBefore).add(words[1]);
                    noteOpen(words[2], "COMMITTED");
                    break;
                case "X":
                    noteOpen(words[2], words[3]);
                    break;
                case "U":
                    if (recovered) {
                        updatedAfter.merge(Integer.parseInt(words[1]), Integer.parseInt(words[2]), Math::max);
                    }
                    break;
                case "H":
                    hangs.add(line.substring(2));
                    break;
                default:
                    notes.add(words[1] + " " + (words.length > 2 ? words[2] : ""));
            }
        }
    }

    private void noteDelivery(String group, String event, boolean recovered) {
        if (recovered) {
            deliveredAfter.computeIfAbsent(group, first -> new ArrayList<>()).add(event);
        } else {
            deliveredBefore.computeIfAbsent(group, first -> new HashSet<>()).add(event);
        }
    }

    private void noteOpen(String name, String how) {
        if (name.startsWith("open-")) {
            openEnded.put(name, how);
        }
    }

    private void run() {
        figures.put("acknowledged_before", (long) acknowledgedBefore.size());
        figures.put("acknowledged_after", (long) acknowledgedAfter.size());
        figures.put("reinitialized_readers", (long) reinitialized);
        checks.check("nobody hangs", () -> Checks.yes(ended && hangs.isEmpty(), "hanging: " + hangs));
        checks.check("events", this::events);
        checks.check("living readers", this::livingReaders);
        checks.check("living readers deliver whole events", this::wholeEvents);
        checks.check("abandoned group goes on", this::abandonedGroup);
        checks.check("abandoned group after a reset", this::resetGroup);
        checks.check("new group on the old stream", () -> {
            List<String> streams = List.of(Survivors.STREAM);
            return everythingOnce(Reading.throughGroup(cluster, Survivors.SCOPE, streams, present.size()).events);
        });
        checks.check("transactions", this::transactions);
        checks.check("transactions that were open", () ->
            Checks.yes(openEnded.containsKey("open-long") && !openEnded.containsValue("COMMITTED"), openEnded.toString()));
        checks.check("table", this::table);
        System.out.println("exceptions on the way: " + notes);
    }

    /** Exactly once, in order, nothing missing but what was acknowledged and had not reached Tier-2. */
    private String events() {
        present = new ArrayList<>();
        Map<String, Integer> next = new HashMap<>();
        Set<String> lost = new TreeSet<>();
        for (byte[] content : Reading.bySegment(cluster, Survivors.SCOPE, Survivors.STREAM, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED)) {
            String event = Survivors.identify(Survivors.PATH, content);
            if (event == null) {
                return Checks.BAD + "never written: " + Events.hex(content, 60);
            }
            String key = event.split(" ")[0];
            int number = Integer.parseInt(event.split(" ")[1]);
            int expected = next.getOrDefault(key, 0);
            if (number < expected) {
                return Checks.BAD + event + " comes again or out of order, expected " + expected;
            }
            for (int missing = expected; missing < number; missing++) {
                lost.add(key + " " + missing);
            }
            next.put(key, number + 1);
            present.add(event);
        }
        Set<String> there = new HashSet<>(present);
        for (String event : acknowledgedAfter) {
            if (!there.contains(event)) {
                return Checks.BAD + event + " was acknowledged after the recovery and is not there";
            }
        }
        for (String event : held) {
            if (!there.contains(event)) {
                return Checks.BAD + event + " was whole in Tier-2 and is not there";
            }
        }
        for (String event : lost) {
            if (!acknowledgedBefore.contains(event)) {
                return Checks.BAD + event + " is missing, was not acknowledged before the loss and never sent again";
            }
        }
        figures.put("present", (long) present.size());
        figures.put("held", (long) held.size());
        figures.put("lost", (long) lost.size());
        return Checks.yes(!acknowledgedAfter.isEmpty(), present.size() + " events, " + lost.size() + " lost of "
            + acknowledgedBefore.size() + " acknowledged before, all of " + acknowledgedAfter.size() + " acknowledged after");
    }

    private String livingReaders() {
        List<String> after = deliveredAfter.getOrDefault(Survivors.LIVING, List.of());
        String wrong = wrongDeliveries(Survivors.LIVING, after);
        if (wrong != null) {
            return Checks.BAD + wrong;
        }
        Set<String> before = deliveredBefore.getOrDefault(Survivors.LIVING, Set.of());
        long again = after.stream().filter(before::contains).count();
        figures.put("delivered_again", again);
        return before.size() + " events before, " + after.size() + " after, of these " + again + " for the second time";
    }

    private String wholeEvents() {
        return Checks.yes(torn.isEmpty(), "torn " + torn);
    }

    /** What must not be: an event doubled after the recovery, one that is in no stream, one that is never delivered. */
    private String wrongDeliveries(String group, List<String> after) {
        Set<String> all = new HashSet<>(after);
        if (all.size() < after.size()) {
            List<String> doubled = new ArrayList<>(after);
            all.forEach(doubled::remove);
            return doubled.size() + " events twice since the recovery, such as " + doubled.get(0);
        }
        Set<String> foreign = new TreeSet<>(after);
        present.forEach(foreign::remove);
        if (!foreign.isEmpty()) {
            return foreign.size() + " events that are not in the stream, such as " + foreign.iterator().next();
        }
        all.addAll(deliveredBefore.getOrDefault(group, Set.of()));
        List<String> never = new ArrayList<>(present);
        never.removeAll(all);
        return never.isEmpty() ? null : never.size() + " events never delivered, such as " + never.get(0);
    }

    /** New readers on the old state, as after the loss of a client: first the old ones are declared dead. */
    private String abandonedGroup() throws Exception {
        Set<String> dead = new TreeSet<>();
        try (ReaderGroup group = cluster.groups(Survivors.SCOPE).getReaderGroup(Survivors.ABANDONED)) {
            for (String reader : group.getOnlineReaders()) {
                dead.add(reader);
                group.readerOffline(reader, null);
            }
        }
        Set<String> before = deliveredBefore.getOrDefault(Survivors.ABANDONED, Set.of());
        long expected = present.stream().filter(event -> !before.contains(event)).count();
        List<String> after = new ArrayList<>();
        Reading.Result read = Reading.continueGroup(cluster, Survivors.SCOPE, Survivors.ABANDONED, (int) expected, Survivors.STREAM);
        read.events.forEach(event -> after.add(event.key + " " + event.number));
        String wrong = wrongDeliveries(Survivors.ABANDONED, after);
        return Checks.yes(wrong == null, "old readers " + dead + ", " + before.size() + " events before, " + after.size()
            + " after; " + wrong);
    }

    private String resetGroup() throws Exception {
        ReaderGroupManager groups = cluster.groups(Survivors.SCOPE);
        try (ReaderGroup group = groups.getReaderGroup(Survivors.ABANDONED)) {
            group.resetReaderGroup(Reading.groupConfig(Survivors.SCOPE, List.of(Survivors.STREAM)));
        }
        return everythingOnce(Reading.continueGroup(cluster, Survivors.SCOPE, Survivors.ABANDONED, present.size(), Survivors.STREAM).events);
    }

    private String everythingOnce(List<Events.Parsed> events) {
        List<String> read = new ArrayList<>();
        events.forEach(event -> read.add(event.key + " " + event.number));
        read.sort(null);
        List<String> expected = new ArrayList<>(present);
        expected.sort(null);
        String difference = Events.difference(expected, read);
        return difference == null ? read.size() + " events" : Checks.BAD + difference;
    }

    /**
     * Each event once; whole if begun and committed after the recovery. One whose commit was under way at the loss ends as committed, but what
     * of it had not reached Tier-2 is gone: that is told, not a failure here.
     */
    private String transactions() {
        Map<String, Set<Integer>> found = new TreeMap<>();
        for (byte[] content : Reading.bySegment(cluster, Survivors.SCOPE, Survivors.TRANSACTIONS, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED)) {
            String event = Survivors.identify(Survivors.TRANSACTIONS_PATH, content);
            if (event == null || !begun.contains(event.split(" ")[0])) {
                return Checks.BAD + "never written: " + Events.hex(content, 60);
            }
            if (!found.computeIfAbsent(event.split(" ")[0], first -> new HashSet<>()).add(Integer.parseInt(event.split(" ")[1]))) {
                return Checks.BAD + event + " is there twice";
            }
        }
        Set<String> incomplete = new TreeSet<>();
        int newOnes = 0;
        for (String id : committedAfter) {
            if (begunBefore.contains(id)) {
                if (found.getOrDefault(id, Set.of()).size() != Survivors.TRANSACTION_EVENTS) {
                    incomplete.add(id);
                }
                continue;
            }
            newOnes++;
            if (found.getOrDefault(id, Set.of()).size() != Survivors.TRANSACTION_EVENTS) {
                return Checks.BAD + id + " was committed after the recovery, found " + found.get(id);
            }
        }
        long whole = found.values().stream().filter(events -> events.size() == Survivors.TRANSACTION_EVENTS).count();
        figures.put("transactions_after", (long) committedAfter.size());
        return Checks.yes(newOnes > 0, committedBefore.size() + " committed before, " + committedAfter.size() + " after, of these "
            + newOnes + " begun after; " + whole + " whole, " + (found.size() - whole)
            + " in part; under way at the loss, committed after it and not whole: " + incomplete);
    }

    private String table() throws Exception {
        try (KeyValueTable table = cluster.tableClients(Survivors.SCOPE)
                .forKeyValueTable(Survivors.TABLE, KeyValueTableClientConfiguration.builder().build())) {
            for (Map.Entry<Integer, Integer> updated : updatedAfter.entrySet()) {
                TableEntry entry = table.get(Load.tableKey(updated.getKey())).get();
                byte[] value = entry == null ? new byte[0] : Load.bytes(entry);
                byte[] expected = Load.value(Survivors.TABLE, updated.getKey(), updated.getValue()).array();
                if (!Events.digest(value).equals(Events.digest(expected))) {
                    return Checks.BAD + "key " + updated.getKey() + " does not hold number " + updated.getValue();
                }
            }
        }
        return Checks.yes(updatedAfter.size() == Survivors.TABLE_KEYS, updatedAfter.size() + " keys updated after the recovery");
    }
}
