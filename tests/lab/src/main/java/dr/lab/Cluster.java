package dr.lab;

import io.pravega.client.BatchClientFactory;
import io.pravega.client.ByteStreamClientFactory;
import io.pravega.client.ClientConfig;
import io.pravega.client.EventStreamClientFactory;
import io.pravega.client.KeyValueTableFactory;
import io.pravega.client.SynchronizerClientFactory;
import io.pravega.client.admin.KeyValueTableManager;
import io.pravega.client.admin.ReaderGroupManager;
import io.pravega.client.admin.StreamInfo;
import io.pravega.client.admin.StreamManager;
import io.pravega.client.control.impl.Controller;
import io.pravega.client.control.impl.ControllerImpl;
import io.pravega.client.control.impl.ControllerImplConfig;
import io.pravega.client.segment.impl.Segment;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.impl.StreamSegments;
import java.lang.reflect.Method;
import java.net.URI;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** One connection to a cluster: every client object that the programs need, made once. It ends with the program. */
final class Cluster {
    /** Attempts to create a stream, a second apart. */
    private static final int CREATE_ATTEMPTS = 10;
    /** Longest wait for one answer of the controller. */
    static final int ANSWER_SECONDS = 60;

    final ClientConfig config;
    final StreamManager streams;
    final KeyValueTableManager tables;
    final Controller controller;
    final ScheduledExecutorService executor = Executors.newScheduledThreadPool(4, work -> {
        Thread thread = new Thread(work, "lab");
        thread.setDaemon(true);
        return thread;
    });
    private final Map<String, EventStreamClientFactory> clients = new HashMap<>();
    private final Map<String, ReaderGroupManager> groups = new HashMap<>();
    private final Map<String, BatchClientFactory> batches = new HashMap<>();
    private final Map<String, ByteStreamClientFactory> byteClients = new HashMap<>();
    private final Map<String, SynchronizerClientFactory> synchronizers = new HashMap<>();
    private final Map<String, KeyValueTableFactory> tableClients = new HashMap<>();

    Cluster(String controllerUri) {
        config = ClientConfig.builder().controllerURI(URI.create(controllerUri)).build();
        streams = StreamManager.create(config);
        tables = KeyValueTableManager.create(config);
        controller = new ControllerImpl(ControllerImplConfig.builder().clientConfig(config).build(), executor);
    }

    synchronized EventStreamClientFactory clients(String scope) {
        return clients.computeIfAbsent(scope, name -> EventStreamClientFactory.withScope(name, config));
    }

    synchronized ReaderGroupManager groups(String scope) {
        return groups.computeIfAbsent(scope, name -> ReaderGroupManager.withScope(name, config));
    }

    synchronized BatchClientFactory batches(String scope) {
        return batches.computeIfAbsent(scope, name -> BatchClientFactory.withScope(name, config));
    }

    synchronized ByteStreamClientFactory byteClients(String scope) {
        return byteClients.computeIfAbsent(scope, name -> ByteStreamClientFactory.withScope(name, config));
    }

    synchronized SynchronizerClientFactory synchronizers(String scope) {
        return synchronizers.computeIfAbsent(scope, name -> SynchronizerClientFactory.withScope(name, config));
    }

    synchronized KeyValueTableFactory tableClients(String scope) {
        return tableClients.computeIfAbsent(scope, name -> KeyValueTableFactory.withScope(name, config));
    }

    /** The call has another name (and returns at once) before 0.13, and these sources serve both versions. */
    StreamInfo info(String scope, String stream) throws Exception {
        for (Method method : StreamManager.class.getMethods()) {
            if (method.getName().equals("fetchStreamInfo")) {
                return (StreamInfo) ((Future<?>) method.invoke(streams, scope, stream)).get(ANSWER_SECONDS, TimeUnit.SECONDS);
            }
        }
        return (StreamInfo) StreamManager.class.getMethod("getStreamInfo", String.class, String.class)
            .invoke(streams, scope, stream);
    }

    /** Where the stream ends now. */
    StreamCut tail(String scope, String stream) throws Exception {
        return info(scope, stream).getTailStreamCut();
    }

    /** Where the stream begins now. */
    StreamCut head(String scope, String stream) throws Exception {
        return info(scope, stream).getHeadStreamCut();
    }

    /** Ids of the segments that are open for writing, ascending. */
    List<Long> currentSegments(String scope, String stream) throws Exception {
        return sortedIds(controller.getCurrentSegments(scope, stream).get(ANSWER_SECONDS, TimeUnit.SECONDS));
    }

    /** Ids of the segments of one epoch, ascending. */
    List<Long> epochSegments(String scope, String stream, int epoch) throws Exception {
        return sortedIds(controller.getEpochSegments(scope, stream, epoch).get(ANSWER_SECONDS, TimeUnit.SECONDS));
    }

    private static List<Long> sortedIds(StreamSegments segments) {
        List<Long> ids = new ArrayList<>();
        for (Segment segment : segments.getSegments()) {
            ids.add(segment.getSegmentId());
        }
        ids.sort(null);
        return ids;
    }

    /** Replaces all open segments by {@code count} segments of equal range, and waits for it. */
    void scaleTo(String scope, String stream, int count) throws Exception {
        Map<Double, Double> ranges = new HashMap<>();
        for (int i = 0; i < count; i++) {
            ranges.put((double) i / count, i + 1 == count ? 1.0 : (i + 1.0) / count);
        }
        List<Long> old = currentSegments(scope, stream);
        boolean scaled = controller.scaleStream(Stream.of(scope, stream), old, ranges, executor)
            .getFuture().get(ANSWER_SECONDS, TimeUnit.SECONDS);
        require(scaled, "scale " + scope + "/" + stream + " to " + count);
    }

    /** Creates a stream. A controller that has just started can fail to, and is asked again, as any client would. */
    boolean createStream(String scope, String name, StreamConfiguration configuration) throws InterruptedException {
        for (int attempt = 1;; attempt++) {
            try {
                // What an attempt that failed began is finished by the next one, which then finds it.
                return streams.createStream(scope, name, configuration) || attempt > 1;
            } catch (RuntimeException failed) {
                if (attempt == CREATE_ATTEMPTS) {
                    throw failed;
                }
                Thread.sleep(1000);
            }
        }
    }

    static void require(boolean done, String what) {
        if (!done) {
            throw new IllegalStateException("refused: " + what);
        }
    }
}
