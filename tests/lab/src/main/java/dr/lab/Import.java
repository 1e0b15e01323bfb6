package dr.lab;

import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.ScalingPolicy;
import io.pravega.client.stream.StreamConfiguration;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * {@code Import --controller URI --file FILE --stream SCOPE/STREAM}: writes the events of a length-delimited export into a new
 * stream of one segment.
 *
 * <p>Routing keys are no part of events, so an export has none. All events get the same key here, which keeps them in the order
 * of the file. Whoever knows how keys follow from events writes {@code writeEvent(keyOf(event), event)} instead.
 */
public final class Import {
    private static final String KEY = "import";
    private static final int LENGTH_BYTES = 4;
    /** Events on the way at once; what a client may hold in memory. */
    private static final int WINDOW = 1_000;

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        Cluster cluster = new Cluster(given.get("--controller"));
        String[] path = given.get("--stream").split("/", 2);
        createStream(cluster, path[0], path[1]);
        long events = 0;
        Deque<CompletableFuture<Void>> pending = new ArrayDeque<>();
        try (DataInputStream input = new DataInputStream(new BufferedInputStream(Files.newInputStream(Path.of(given.get("--file")))));
             EventStreamWriter<byte[]> writer = cluster.clients(path[0])
                 .createEventWriter(path[1], Events.SERIALIZER, EventWriterConfig.builder().build())) {
            for (byte[] event = next(input); event != null; event = next(input)) {
                pending.add(writer.writeEvent(KEY, event));
                if (pending.size() > WINDOW) {
                    pending.remove().get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
                }
                events++;
            }
            writer.flush();
            for (CompletableFuture<Void> acknowledged : pending) {
                acknowledged.get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
            }
        }
        System.out.println(events + " events written to " + given.get("--stream"));
        System.exit(0);
    }

    /** A stream that exists may hold events already, and a second run would write these again. */
    private static void createStream(Cluster cluster, String scope, String stream) {
        cluster.streams.createScope(scope);
        StreamConfiguration one = StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(1)).build();
        Cluster.require(cluster.streams.createStream(scope, stream, one), "import into " + scope + "/" + stream + ", which exists");
    }

    /** The next event; null at the end of the file. A file that ends inside an event is an error. */
    private static byte[] next(DataInputStream input) throws IOException {
        byte[] length = input.readNBytes(LENGTH_BYTES);
        if (length.length == 0) {
            return null;
        }
        int bytes = length.length == LENGTH_BYTES ? java.nio.ByteBuffer.wrap(length).getInt() : -1;
        byte[] event = bytes < 0 ? new byte[0] : input.readNBytes(bytes);
        if (event.length != bytes) {
            throw new IOException("the file ends inside an event, or is no length-delimited export");
        }
        return event;
    }
}
