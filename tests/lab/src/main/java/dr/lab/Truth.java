package dr.lab;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import io.pravega.client.stream.RetentionPolicy;
import io.pravega.client.stream.ScalingPolicy;
import io.pravega.client.stream.StreamConfiguration;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/** Everything that was acknowledged, as a JSON file. Digests are the first 8 bytes of SHA-256 in hex. */
final class Truth {
    private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();

    int version = 1;
    String size = "small";
    int moreRuns;
    List<String> scopes = new ArrayList<>();
    /** Scopes of which this truth knows nothing else: they were there before it was begun. */
    List<String> otherScopes = new ArrayList<>();
    List<String> deletedScopes = new ArrayList<>();
    List<StreamTruth> streams = new ArrayList<>();
    List<String> deletedStreams = new ArrayList<>();
    List<CutTruth> cuts = new ArrayList<>();
    List<TransactionTruth> transactions = new ArrayList<>();
    List<BytesTruth> byteStreams = new ArrayList<>();
    /** None in truths that were recorded before there were any. */
    List<SynchronizerTruth> synchronizers = new ArrayList<>();
    List<TableTruth> tables = new ArrayList<>();
    List<String> deletedTables = new ArrayList<>();
    List<GroupTruth> groups = new ArrayList<>();

    /** One event stream. */
    static final class StreamTruth {
        String scope;
        String name;
        String scalingType;
        int scalingRate;
        int scalingFactor;
        int scalingSegments;
        String retentionType;
        long retentionMinimum;
        long retentionMaximum;
        TreeSet<String> tags = new TreeSet<>();
        boolean sealed;
        boolean truncated;
        /** Retention may cut the head at any time: what is read is then a suffix of what was written. */
        boolean retentionCuts;
        /** Times given to noteTime, lowest and highest, or 0. */
        long firstTime;
        long lastTime;
        /** Sequence number of the next event of each key. */
        Map<String, Integer> nextNumber = new TreeMap<>();
        /** Routing key to the digests of its events, in order, from the head of the stream. */
        Map<String, List<String>> events = new TreeMap<>();
        List<Long> currentSegments = new ArrayList<>();
        /** Epoch to the ids of its segments. */
        Map<Integer, List<Long>> epochs = new TreeMap<>();

        String path() {
            return scope + "/" + name;
        }

        int count() {
            return events.values().stream().mapToInt(List::size).sum();
        }

        StreamTruth configuredAs(StreamConfiguration configuration) {
            ScalingPolicy scaling = configuration.getScalingPolicy();
            scalingType = scaling.getScaleType().name();
            scalingRate = scaling.getTargetRate();
            scalingFactor = scaling.getScaleFactor();
            scalingSegments = scaling.getMinNumSegments();
            RetentionPolicy retention = configuration.getRetentionPolicy();
            retentionType = retention == null ? "NONE" : retention.getRetentionType().name();
            retentionMinimum = retention == null ? 0 : retention.getRetentionParam();
            retentionMaximum = retention == null ? 0 : retention.getRetentionMax();
            tags = new TreeSet<>(configuration.getTags());
            return this;
        }

        String configurationText() {
            return scalingType + " " + scalingRate + " " + scalingFactor + " " + scalingSegments
                + " " + retentionType + " " + retentionMinimum + " " + retentionMaximum;
        }
    }

    /** What lies between two stream cuts. */
    static final class CutTruth {
        String scope;
        String stream;
        String from;
        String to;
        Map<String, List<String>> events = new TreeMap<>();
    }

    /** One transaction. */
    static final class TransactionTruth {
        String scope;
        String stream;
        String id;
        /** COMMITTED, ABORTED or OPEN. */
        String status;
        List<String> digests = new ArrayList<>();
    }

    /** One byte stream. */
    static final class BytesTruth {
        String scope;
        String name;
        long head;
        long tail;
        boolean sealed;
        /** Of the bytes from head to tail. */
        String digest;
    }

    /** One stream that holds a shared state. */
    static final class SynchronizerTruth {
        String scope;
        String name;
        int nextNumber;
        /** Digests, from the oldest. */
        List<String> values = new ArrayList<>();
        /** As text. */
        String mark;

        String path() {
            return scope + "/" + name;
        }
    }

    /** One key-value table. */
    static final class TableTruth {
        String scope;
        String name;
        int partitions;
        int primaryKeyLength;
        int secondaryKeyLength;
        /** The checker updates this table, so its versions move. */
        boolean touchedByChecker;
        /** Key in hex (primary and secondary) to value. */
        Map<String, EntryTruth> entries = new TreeMap<>();
        TreeSet<String> removedKeys = new TreeSet<>();

        String path() {
            return scope + "/" + name;
        }
    }

    /** One table entry. */
    static final class EntryTruth {
        String digest;
        String version;

        EntryTruth(String digest, String version) {
            this.digest = digest;
            this.version = version;
        }
    }

    /** A reader group that stopped half way. */
    static final class GroupTruth {
        String scope;
        String name;
        List<String> streams = new ArrayList<>();
        List<String> read = new ArrayList<>();
    }

    StreamTruth stream(String scope, String name) {
        return streams.stream().filter(s -> s.scope.equals(scope) && s.name.equals(name)).findFirst()
            .orElseThrow(() -> new IllegalStateException("the truth has no stream " + scope + "/" + name));
    }

    TableTruth table(String scope, String name) {
        return tables.stream().filter(t -> t.scope.equals(scope) && t.name.equals(name)).findFirst()
            .orElseThrow(() -> new IllegalStateException("the truth has no table " + scope + "/" + name));
    }

    static Truth read(String file) throws Exception {
        return GSON.fromJson(new String(Files.readAllBytes(Paths.get(file)), "UTF-8"), Truth.class);
    }

    void write(String file) throws Exception {
        writeJson(file, this);
    }

    /** In one step: a program that is killed must not leave half a truth. */
    static void writeJson(String file, Object value) throws Exception {
        Path target = Paths.get(file);
        Path temporary = Paths.get(file + ".new");
        Files.write(temporary, GSON.toJson(value).getBytes("UTF-8"));
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    static Map<String, Object> object() {
        return new LinkedHashMap<>();
    }
}
