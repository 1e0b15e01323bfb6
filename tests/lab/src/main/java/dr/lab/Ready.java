package dr.lab;

import java.util.concurrent.TimeUnit;

/** {@code Ready --controller URI}: waits until the controller can list scopes, which it reads from table segments. */
public final class Ready {
    private static final int LIMIT_SECONDS = 90;

    public static void main(String[] arguments) throws Exception {
        Cluster cluster = new Cluster(new Arguments(arguments).get("--controller"));
        long end = System.nanoTime() + LIMIT_SECONDS * 1_000_000_000L;
        while (true) {
            try {
                cluster.streams.listScopes().forEachRemaining(scope -> { });
                cluster.controller.checkStreamExists("_system", "_requeststream").get(10, TimeUnit.SECONDS);
                System.exit(0);
            } catch (Exception notYet) {
                if (System.nanoTime() > end) {
                    throw notYet;
                }
                Thread.sleep(300);
            }
        }
    }
}
