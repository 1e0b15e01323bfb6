package dr.lab;

import io.pravega.client.admin.KeyValueTableInfo;
import io.pravega.client.segment.impl.NoSuchSegmentException;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.InvalidStreamException;
import io.pravega.client.stream.ReaderGroupNotFoundException;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.Transaction;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * {@code ChangesCheck --controller URI --report FILE}: whatever a cluster knows of what {@link Changes} did takes every change to its end, though
 * none of what was under way then may have come to its own. A check for each stream, table and reader group.
 */
public final class ChangesCheck {
    private static final int WORKERS = 6;
    private static final String STREAM_OF_GROUP = "_RG";

    private final Cluster cluster;
    private final Checks checks = new Checks();

    private ChangesCheck(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        ChangesCheck check = new ChangesCheck(new Cluster(given.get("--controller")));
        check.run();
        check.checks.finish(given.get("--report"), Map.of());
    }

    private void run() throws Exception {
        Set<String> streams = names(cluster.streams.listStreams(Changes.SCOPE), Stream::getStreamName);
        Set<String> tables = names(cluster.tables.listKeyValueTables(Changes.SCOPE), KeyValueTableInfo::getKeyValueTableName);
        List<Callable<Void>> all = new ArrayList<>();
        streams.stream().filter(name -> !name.startsWith("_")).forEach(name -> all.add(checked("stream " + name, () -> stream(name))));
        tables.forEach(name -> all.add(checked("table " + name, () -> table(name))));
        streams.stream().filter(name -> name.startsWith(STREAM_OF_GROUP)).map(name -> name.substring(STREAM_OF_GROUP.length()))
            .forEach(name -> all.add(checked("group " + name, () -> group(name))));
        ExecutorService workers = Executors.newFixedThreadPool(WORKERS);
        for (Future<Void> done : workers.invokeAll(all)) {
            done.get();
        }
        workers.shutdown();
    }

    private Callable<Void> checked(String name, Checks.Body body) {
        return () -> {
            checks.check(name, body);
            return null;
        };
    }

    private static <T> Set<String> names(Iterator<T> listed, Function<T, String> nameOf) {
        Set<String> names = new TreeSet<>();
        listed.forEachRemaining(item -> names.add(nameOf.apply(item)));
        return names;
    }

    /** Ends the creation if it was under way, reads, makes every change unless the stream is sealed, deletes it, and makes a new one. */
    private String stream(String name) throws Exception {
        cluster.createStream(Changes.SCOPE, name, Changes.configuration(2, "new"));
        String read = read(name);
        boolean isOpen = !cluster.currentSegments(Changes.SCOPE, name).isEmpty();
        try {
            if (isOpen) {
                change(name);
            }
        } catch (Exception failure) {
            // It was being sealed, and that came to its end meanwhile.
            isOpen = !cluster.currentSegments(Changes.SCOPE, name).isEmpty();
            if (isOpen) {
                throw failure;
            }
        }
        Cluster.require(cluster.streams.sealStream(Changes.SCOPE, name), "seal " + name);
        Cluster.require(cluster.streams.deleteStream(Changes.SCOPE, name), "delete " + name);
        Cluster.require(cluster.streams.createStream(Changes.SCOPE, name, Changes.configuration(2, "new")), "create " + name);
        write(name);
        return read + (isOpen ? ", took every change" : ", sealed");
    }

    private void change(String name) throws Exception {
        write(name);
        scaleTo(name, 3);
        Cluster.require(cluster.streams.updateStream(Changes.SCOPE, name, Changes.configuration(3, "again")), "update " + name);
        Cluster.require(cluster.streams.truncateStream(Changes.SCOPE, name, cluster.tail(Changes.SCOPE, name)), "truncate " + name);
        commit(name);
        scaleTo(name, 4);
    }

    /** One that was under way is ended first, and refuses others until then. */
    private void scaleTo(String name, int count) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(Cluster.ANSWER_SECONDS);
        while (true) {
            try {
                cluster.scaleTo(Changes.SCOPE, name, count);
                return;
            } catch (Exception refused) {
                if (System.nanoTime() > end) {
                    throw refused;
                }
                Thread.sleep(1_000);
            }
        }
    }

    private String read(String name) {
        return Reading.bySegment(cluster, Changes.SCOPE, name, StreamCut.UNBOUNDED, StreamCut.UNBOUNDED).size() + " events";
    }

    private void write(String name) throws Exception {
        try (EventStreamWriter<byte[]> writer = Changes.writer(cluster, name)) {
            writer.writeEvent("key", new byte[10]).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
        }
    }

    private void commit(String name) throws Exception {
        try (TransactionalEventStreamWriter<byte[]> writer = Changes.transactions(cluster, name)) {
            Transaction<byte[]> transaction = writer.beginTxn();
            transaction.writeEvent("key", new byte[100]);
            transaction.commit();
            while (transaction.checkStatus() != Transaction.Status.COMMITTED) {
                Thread.sleep(50);
            }
        }
    }

    private String table(String name) throws Exception {
        cluster.tables.createKeyValueTable(Changes.SCOPE, name, Load.tableConfiguration());
        Changes.put(cluster, name, 1);
        Cluster.require(cluster.tables.deleteKeyValueTable(Changes.SCOPE, name), "delete " + name);
        Cluster.require(cluster.tables.createKeyValueTable(Changes.SCOPE, name, Load.tableConfiguration()), "create " + name);
        Changes.put(cluster, name, 2);
        return "made anew";
    }

    /** Made if it is not there, and deleted. One that was being deleted is deleted to the end first, and is like any other one then. */
    private String group(String name) {
        String found = "made and deleted";
        try {
            createGroup(name);
        } catch (NoSuchSegmentException | InvalidStreamException beingDeleted) {
            found = "deleted to the end, made and deleted";
            deleteGroup(name);
            createGroup(name);
        }
        deleteGroup(name);
        return found;
    }

    private void createGroup(String name) {
        String stream = "stream" + name.substring("group".length());
        cluster.groups(Changes.SCOPE).createReaderGroup(name, Reading.groupConfig(Changes.SCOPE, List.of(stream)));
        cluster.groups(Changes.SCOPE).getReaderGroup(name).close();
    }

    private void deleteGroup(String name) {
        cluster.groups(Changes.SCOPE).deleteReaderGroup(name);
        try {
            cluster.groups(Changes.SCOPE).getReaderGroup(name).close();
        } catch (ReaderGroupNotFoundException gone) {
            return;
        }
        throw new IllegalStateException(name + " is there after it was deleted");
    }
}
