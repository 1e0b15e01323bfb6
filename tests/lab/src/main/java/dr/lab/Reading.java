package dr.lab;

import io.pravega.client.batch.SegmentIterator;
import io.pravega.client.batch.SegmentRange;
import io.pravega.client.stream.EventRead;
import io.pravega.client.stream.EventStreamReader;
import io.pravega.client.stream.ReaderConfig;
import io.pravega.client.stream.ReaderGroupConfig;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.TimeWindow;
import io.pravega.client.stream.TruncatedDataException;
import io.pravega.shared.NameUtils;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The two ways to read events: through a reader group, and segment by segment. */
final class Reading {
    /** A scaled stream is read epoch by epoch, and each step waits for a checkpoint. */
    private static final long CHECKPOINT_MILLISECONDS = 1_000;
    private static final long POLL_MILLISECONDS = 1_000;
    private static final long STALL_MILLISECONDS = 60_000;

    private Reading() {
    }

    static ReaderGroupConfig groupConfig(String scope, Collection<String> streams) {
        ReaderGroupConfig.ReaderGroupConfigBuilder builder =
            ReaderGroupConfig.builder().automaticCheckpointIntervalMillis(CHECKPOINT_MILLISECONDS);
        for (String stream : streams) {
            builder.stream(Stream.of(scope, stream));
        }
        return builder.build();
    }

    /** What a reader got. */
    static final class Result {
        final List<Events.Parsed> events = new ArrayList<>();
        TimeWindow window;
        /** How often the reader was told that events before the next one had been truncated. */
        int truncations;

        /**
         * A bound of the reader's time window, or null if there is none. Before the reader has passed the first watermark only
         * the upper bound is set, behind the last one only the lower.
         */
        Long markedTime() {
            return window.getLowerTimeBound() != null ? window.getLowerTimeBound() : window.getUpperTimeBound();
        }
    }

    /** Reads with a reader group made for this call and deleted after it. */
    static Result throughGroup(Cluster cluster, String scope, Collection<String> streams, int expected) throws Exception {
        String group = "reading-" + System.nanoTime();
        cluster.groups(scope).createReaderGroup(group, groupConfig(scope, streams));
        try {
            return continueGroup(cluster, scope, group, expected, streams.iterator().next());
        } finally {
            cluster.groups(scope).deleteReaderGroup(group);
        }
    }

    /**
     * Reads with one reader of an existing group until {@code expected} events came and then nothing for a while, or until
     * nothing comes for long. Surplus events are returned too.
     */
    static Result continueGroup(Cluster cluster, String scope, String group, int expected, String windowOf) throws Exception {
        Result result = new Result();
        try (EventStreamReader<byte[]> reader = cluster.clients(scope)
                .createReader("reader-" + System.nanoTime(), group, Events.SERIALIZER, ReaderConfig.builder().build())) {
            long lastEvent = System.currentTimeMillis();
            int quietPolls = 0;
            while (quietPolls < 2 && System.currentTimeMillis() - lastEvent < STALL_MILLISECONDS) {
                EventRead<byte[]> read = next(reader, result);
                if (read == null) {
                    continue;
                }
                if (read.getEvent() != null) {
                    result.events.add(new Events.Parsed(read.getEvent()));
                    lastEvent = System.currentTimeMillis();
                    quietPolls = 0;
                } else if (!read.isCheckpoint() && result.events.size() >= expected) {
                    quietPolls++;
                }
            }
            result.window = reader.getCurrentTimeWindow(Stream.of(scope, windowOf));
        }
        return result;
    }

    /** Null if the reader began before the truncation of a segment; the client says so once and goes on at the truncation. */
    private static EventRead<byte[]> next(EventStreamReader<byte[]> reader, Result result) {
        try {
            return reader.readNextEvent(POLL_MILLISECONDS);
        } catch (TruncatedDataException truncated) {
            result.truncations++;
            return null;
        }
    }

    /** Reads all segments between two cuts directly, in the order of their epochs, which keeps the order of each key. */
    static List<byte[]> bySegment(Cluster cluster, String scope, String stream, StreamCut from, StreamCut to) {
        List<SegmentRange> ranges = new ArrayList<>();
        cluster.batches(scope).getSegments(Stream.of(scope, stream), from, to).getIterator().forEachRemaining(ranges::add);
        ranges.sort(Comparator.comparingInt((SegmentRange range) -> NameUtils.getEpoch(range.getSegmentId()))
            .thenComparingLong(SegmentRange::getSegmentId));
        List<byte[]> events = new ArrayList<>();
        for (SegmentRange range : ranges) {
            try (SegmentIterator<byte[]> iterator = cluster.batches(scope).readSegment(range, Events.SERIALIZER)) {
                iterator.forEachRemaining(events::add);
            }
        }
        return events;
    }

    static List<Events.Parsed> parse(List<byte[]> events) {
        List<Events.Parsed> parsed = new ArrayList<>();
        for (byte[] event : events) {
            parsed.add(new Events.Parsed(event));
        }
        return parsed;
    }

    /** Digests of one stream's events by routing key, in the order they came. */
    static Map<String, List<String>> byKey(List<Events.Parsed> events, String path) {
        Map<String, List<String>> keys = new TreeMap<>();
        for (Events.Parsed event : events) {
            if (event.stream.equals(path)) {
                keys.computeIfAbsent(event.key, key -> new ArrayList<>()).add(event.digest);
            }
        }
        return keys;
    }

    /** Null if both hold the same events in the same order per key. */
    static String difference(Map<String, List<String>> expected, Map<String, List<String>> found) {
        TreeMap<String, List<String>> all = new TreeMap<>(expected);
        all.putAll(found);
        for (String key : all.keySet()) {
            String difference = Events.difference(expected.getOrDefault(key, List.of()), found.getOrDefault(key, List.of()));
            if (difference != null) {
                return "key " + key + " " + difference;
            }
        }
        return null;
    }
}
