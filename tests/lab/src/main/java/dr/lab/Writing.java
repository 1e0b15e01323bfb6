package dr.lab;

import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.Transaction;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import io.pravega.client.tables.Insert;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableConfiguration;
import io.pravega.client.tables.Put;
import io.pravega.client.tables.Remove;
import io.pravega.client.tables.TableKey;
import io.pravega.client.tables.Version;
import io.pravega.shared.NameUtils;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Steps that change the cluster and note in the truth what was acknowledged. */
final class Writing {
    /** Long, so that an open transaction is still open when it is looked at. */
    private static final long TRANSACTION_MILLISECONDS = 82_800_000;

    final Cluster cluster;
    final Truth truth;

    Writing(Cluster cluster, Truth truth) {
        this.cluster = cluster;
        this.truth = truth;
    }

    void scope(String scope) {
        Cluster.require(cluster.streams.createScope(scope), "create scope " + scope);
        truth.scopes.add(scope);
    }

    Truth.StreamTruth stream(String scope, String name, StreamConfiguration configuration) throws Exception {
        Cluster.require(cluster.createStream(scope, name, configuration), "create stream " + scope + "/" + name);
        Truth.StreamTruth stream = new Truth.StreamTruth();
        stream.scope = scope;
        stream.name = name;
        stream.configuredAs(configuration);
        truth.streams.add(stream);
        noteSegments(stream);
        return stream;
    }

    /** Notes the open segments and all epochs up to theirs. */
    void noteSegments(Truth.StreamTruth stream) throws Exception {
        stream.currentSegments = cluster.currentSegments(stream.scope, stream.name);
        int newest = stream.currentSegments.stream().mapToInt(NameUtils::getEpoch).max().orElse(0);
        for (int epoch = 0; epoch <= newest; epoch++) {
            stream.epochs.put(epoch, cluster.epochSegments(stream.scope, stream.name, epoch));
        }
    }

    EventStreamWriter<byte[]> writer(Truth.StreamTruth stream) {
        return writer(stream, EventWriterConfig.builder().build());
    }

    private EventStreamWriter<byte[]> writer(Truth.StreamTruth stream, EventWriterConfig config) {
        return cluster.clients(stream.scope).createEventWriter(stream.name, Events.SERIALIZER, config);
    }

    /** Writes {@code count} events over {@code keys} routing keys and waits for all acknowledgements. */
    void events(Truth.StreamTruth stream, int keys, int count) throws Exception {
        try (EventStreamWriter<byte[]> writer = writer(stream)) {
            events(stream, writer, keys, count);
        }
    }

    void events(Truth.StreamTruth stream, EventStreamWriter<byte[]> writer, int keys, int count) throws Exception {
        List<CompletableFuture<Void>> pending = new ArrayList<>();
        Map<String, List<String>> written = new TreeMap<>();
        for (int i = 0; i < count; i++) {
            String key = "key-" + i % keys;
            byte[] event = next(stream, key);
            pending.add(writer.writeEvent(key, event));
            written.computeIfAbsent(key, k -> new ArrayList<>()).add(Events.digest(event));
        }
        writer.flush();
        CompletableFuture.allOf(pending.toArray(new CompletableFuture[0])).get(120, TimeUnit.SECONDS);
        written.forEach((key, digests) -> stream.events.computeIfAbsent(key, k -> new ArrayList<>()).addAll(digests));
    }

    /** Writes an event that is too large for one request: the client fills a segment of its own with it, which the store then merges. */
    void largeEvent(Truth.StreamTruth stream, String key) throws Exception {
        EventWriterConfig config = EventWriterConfig.builder().enableLargeEvents(true).build();
        byte[] event = Events.make(stream.path(), key, nextNumber(stream, key), Events.TOO_LARGE_FOR_A_REQUEST);
        try (EventStreamWriter<byte[]> writer = writer(stream, config)) {
            writer.writeEvent(key, event).get(120, TimeUnit.SECONDS);
        }
        stream.events.computeIfAbsent(key, k -> new ArrayList<>()).add(Events.digest(event));
    }

    private static byte[] next(Truth.StreamTruth stream, String key) {
        int number = nextNumber(stream, key);
        return Events.make(stream.path(), key, number, Events.sizeOf(number));
    }

    private static int nextNumber(Truth.StreamTruth stream, String key) {
        return stream.nextNumber.merge(key, 1, Integer::sum) - 1;
    }

    void scale(Truth.StreamTruth stream, int segments) throws Exception {
        cluster.scaleTo(stream.scope, stream.name, segments);
        noteSegments(stream);
    }

    /** Forgets everything up to the present tail. */
    void truncateHere(Truth.StreamTruth stream) throws Exception {
        StreamCut cut = cluster.tail(stream.scope, stream.name);
        Cluster.require(cluster.streams.truncateStream(stream.scope, stream.name, cut), "truncate " + stream.path());
        stream.events.clear();
        stream.truncated = true;
    }

    void seal(Truth.StreamTruth stream) throws Exception {
        Cluster.require(cluster.streams.sealStream(stream.scope, stream.name), "seal " + stream.path());
        stream.sealed = true;
        stream.currentSegments = cluster.currentSegments(stream.scope, stream.name);
    }

    void delete(Truth.StreamTruth stream) throws Exception {
        Cluster.require(cluster.streams.sealStream(stream.scope, stream.name), "seal " + stream.path());
        Cluster.require(cluster.streams.deleteStream(stream.scope, stream.name), "delete " + stream.path());
        truth.streams.remove(stream);
        truth.deletedStreams.add(stream.path());
    }

    TransactionalEventStreamWriter<byte[]> transactionalWriter(String scope, String stream) {
        EventWriterConfig config = EventWriterConfig.builder().transactionTimeoutTime(TRANSACTION_MILLISECONDS).build();
        return cluster.clients(scope).createTransactionalEventWriter("lab-" + UUID.randomUUID(), stream, Events.SERIALIZER, config);
    }

    /** A transaction that is written but not decided. */
    final class Pending {
        final Truth.StreamTruth stream;
        final Transaction<byte[]> transaction;
        final Truth.TransactionTruth record = new Truth.TransactionTruth();
        final String key;

        Pending(Truth.StreamTruth stream, TransactionalEventStreamWriter<byte[]> writer, int events) throws Exception {
            this.stream = stream;
            transaction = writer.beginTxn();
            key = "transaction-" + transaction.getTxnId();
            record.scope = stream.scope;
            record.stream = stream.name;
            record.id = transaction.getTxnId().toString();
            record.status = "OPEN";
            for (int i = 0; i < events; i++) {
                byte[] event = Events.make(stream.path(), key, i, Events.sizeOf(i + 3));
                transaction.writeEvent(key, event);
                record.digests.add(Events.digest(event));
            }
            transaction.flush();
            truth.transactions.add(record);
        }

        void commit() throws Exception {
            transaction.commit();
            await("COMMITTED");
            stream.events.put(key, new ArrayList<>(record.digests));
        }

        void abort() throws Exception {
            transaction.abort();
            await("ABORTED");
        }

        private void await(String status) throws Exception {
            awaitStatus(record, status);
            record.status = status;
        }
    }

    void awaitStatus(Truth.TransactionTruth record, String status) throws Exception {
        String found = "";
        for (int i = 0; i < 300 && !found.equals(status); i++) {
            Thread.sleep(i == 0 ? 0 : 200);
            found = cluster.controller
                .checkTransactionStatus(Stream.of(record.scope, record.stream), UUID.fromString(record.id))
                .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS).name();
        }
        Cluster.require(found.equals(status), "transaction " + record.id + " is " + found + ", not " + status);
    }

    Truth.TableTruth table(String scope, String name, int partitions, int primary, int secondary) {
        KeyValueTableConfiguration configuration = KeyValueTableConfiguration.builder()
            .partitionCount(partitions).primaryKeyLength(primary).secondaryKeyLength(secondary).build();
        Cluster.require(cluster.tables.createKeyValueTable(scope, name, configuration), "create table " + scope + "/" + name);
        Truth.TableTruth table = new Truth.TableTruth();
        table.scope = scope;
        table.name = name;
        table.partitions = partitions;
        table.primaryKeyLength = primary;
        table.secondaryKeyLength = secondary;
        truth.tables.add(table);
        return table;
    }

    KeyValueTable open(Truth.TableTruth table) {
        return cluster.tableClients(table.scope)
            .forKeyValueTable(table.name, io.pravega.client.tables.KeyValueTableClientConfiguration.builder().build());
    }

    /** Key {@code number} of a table, as bytes of the table's total key length. */
    static byte[] keyBytes(Truth.TableTruth table, int number) {
        byte[] key = new byte[table.primaryKeyLength + table.secondaryKeyLength];
        ByteBuffer.wrap(key).putInt(key.length - 4, number);
        // Spreads over the partitions, which go by the primary key.
        key[0] = (byte) (number * 31);
        return key;
    }

    static TableKey tableKey(Truth.TableTruth table, byte[] key) {
        ByteBuffer primary = ByteBuffer.wrap(Arrays.copyOf(key, table.primaryKeyLength));
        if (table.secondaryKeyLength == 0) {
            return new TableKey(primary);
        }
        return new TableKey(primary, ByteBuffer.wrap(Arrays.copyOfRange(key, table.primaryKeyLength, key.length)));
    }

    private static ByteBuffer value(Truth.TableTruth table, int number, int round) {
        return ByteBuffer.wrap(Events.make(table.path(), "entry-" + number, round, 40 + number * 13 % 900));
    }

    void insert(Truth.TableTruth table, KeyValueTable open, int number) throws Exception {
        byte[] key = keyBytes(table, number);
        ByteBuffer value = value(table, number, 0);
        Version version = open.update(new Insert(tableKey(table, key), value)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
        note(table, key, value, version);
    }

    void put(Truth.TableTruth table, KeyValueTable open, int number, int round) throws Exception {
        byte[] key = keyBytes(table, number);
        ByteBuffer value = value(table, number, round);
        Version version = open.update(new Put(tableKey(table, key), value)).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
        note(table, key, value, version);
    }

    void remove(Truth.TableTruth table, KeyValueTable open, int number) throws Exception {
        byte[] key = keyBytes(table, number);
        open.update(new Remove(tableKey(table, key))).get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
        String hex = Events.hex(key, key.length);
        table.entries.remove(hex);
        table.removedKeys.add(hex);
    }

    private static void note(Truth.TableTruth table, byte[] key, ByteBuffer value, Version version) {
        String hex = Events.hex(key, key.length);
        byte[] bytes = new byte[value.remaining()];
        value.duplicate().get(bytes);
        table.entries.put(hex, new Truth.EntryTruth(Events.digest(bytes), version.toString()));
        table.removedKeys.remove(hex);
    }
}
