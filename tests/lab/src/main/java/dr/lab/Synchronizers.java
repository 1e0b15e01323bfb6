package dr.lab;

import io.pravega.client.state.Revision;
import io.pravega.client.state.RevisionedStreamClient;
import io.pravega.client.state.SynchronizerConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Streams that clients share as a state: each value is one event, written with or without a condition, and a mark says where to begin.
 * The mark is an attribute of the segment, beside the numbers of the writers' last events.
 */
final class Synchronizers {
    private final Cluster cluster;

    Synchronizers(Cluster cluster) {
        this.cluster = cluster;
    }

    /** Writes {@code count} values, marks the middle, and truncates there if wanted. */
    Truth.SynchronizerTruth make(String scope, String name, int count, boolean truncated) throws Exception {
        Cluster.require(cluster.createStream(scope, name, Workload.fixed(1)), "create synchronizer " + name);
        Truth.SynchronizerTruth truth = new Truth.SynchronizerTruth();
        truth.scope = scope;
        truth.name = name;
        try (RevisionedStreamClient<byte[]> client = open(scope, name)) {
            for (int number = 0; number < count; number++) {
                byte[] value = write(client, truth);
                if (number == count / 2) {
                    Revision mark = client.fetchLatestRevision();
                    Cluster.require(client.compareAndSetMark(null, mark), "mark " + name);
                    truth.mark = mark.toString();
                    if (truncated) {
                        client.truncateToRevision(mark);
                        truth.values.clear();
                        continue;
                    }
                }
                truth.values.add(Events.digest(value));
            }
        }
        return truth;
    }

    /** Writes more values, and marks the end. */
    String goOn(Truth.SynchronizerTruth truth) throws Exception {
        try (RevisionedStreamClient<byte[]> client = open(truth.scope, truth.name)) {
            for (int more = 0; more < 4; more++) {
                truth.values.add(Events.digest(write(client, truth)));
            }
            Revision mark = client.fetchLatestRevision();
            Cluster.require(client.compareAndSetMark(Revision.fromString(truth.mark), mark), "mark the end of " + truth.name);
            truth.mark = mark.toString();
        }
        return check(truth);
    }

    /** Writes the next value: every second one only if nobody else wrote meanwhile. */
    private static byte[] write(RevisionedStreamClient<byte[]> client, Truth.SynchronizerTruth truth) {
        int number = truth.nextNumber++;
        byte[] value = Events.make(truth.path(), "value", number, Events.sizeOf(number));
        if (number % 2 == 0) {
            client.writeUnconditionally(value);
        } else {
            Cluster.require(client.writeConditionally(client.fetchLatestRevision(), value) != null, "write a value of " + truth.name);
        }
        return value;
    }

    /** A store that has started tells no mark, and looks into the attribute index only to compare; the mark stays what it is. */
    String check(Truth.SynchronizerTruth truth) throws Exception {
        try (RevisionedStreamClient<byte[]> client = open(truth.scope, truth.name)) {
            List<String> values = new ArrayList<>();
            for (var entries = client.readFrom(client.fetchOldestRevision()); entries.hasNext();) {
                Map.Entry<Revision, byte[]> entry = entries.next();
                values.add(Events.digest(entry.getValue()));
            }
            String difference = Events.difference(truth.values, values);
            if (difference != null) {
                return Checks.BAD + difference;
            }
            Revision mark = Revision.fromString(truth.mark);
            if (!client.compareAndSetMark(mark, mark)) {
                return Checks.BAD + "the mark is not " + truth.mark + " but " + client.getMark();
            }
            return values.size() + " values, marked";
        }
    }

    private RevisionedStreamClient<byte[]> open(String scope, String name) {
        return cluster.synchronizers(scope).createRevisionedStreamClient(name, Events.SERIALIZER, SynchronizerConfig.builder().build());
    }
}
