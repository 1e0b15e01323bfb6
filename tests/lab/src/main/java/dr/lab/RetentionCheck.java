package dr.lab;

import io.pravega.client.stream.StreamCut;
import java.util.Map;

/**
 * {@code RetentionCheck --controller URI --truth FILE --report FILE}: writes to a stream with a small size limit until its head
 * moves. The controller looks at it once a minute, if it still knows that it has to.
 */
public final class RetentionCheck {
    private static final int LIMIT_SECONDS = 290;

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        Truth truth = Truth.read(given.get("--truth"));
        Cluster cluster = new Cluster(given.get("--controller"));
        Checks checks = new Checks(LIMIT_SECONDS + 30);
        checks.check("retention cuts " + Workload.RETENTION_NOW, () -> movedHead(cluster, truth));
        truth.write(given.get("--truth"));
        checks.finish(given.get("--report"), Map.of());
    }

    private static String movedHead(Cluster cluster, Truth truth) throws Exception {
        Truth.StreamTruth stream = truth.stream(Workload.BETA, Workload.RETENTION_NOW);
        Writing writing = new Writing(cluster, truth);
        long before = offset(cluster.head(stream.scope, stream.name));
        long end = System.nanoTime() + LIMIT_SECONDS * 1_000_000_000L;
        while (System.nanoTime() < end) {
            writing.events(stream, 1, 20);
            Thread.sleep(5_000);
            long now = offset(cluster.head(stream.scope, stream.name));
            if (now > before) {
                return "head moved from " + before + " to " + now;
            }
        }
        return Checks.BAD + "head stayed at " + before + " for " + LIMIT_SECONDS + " s";
    }

    private static long offset(StreamCut cut) {
        return cut.asImpl().getPositions().values().stream().mapToLong(Long::longValue).sum();
    }
}
