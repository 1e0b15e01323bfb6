package dr.lab;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZKUtil;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/**
 * {@code Znodes --zookeeper HOST:PORT [--create PATH] [--delete PATH] [--export PATH --output FILE]}: creates with parents,
 * deletes with children, exports with children.
 */
public final class Znodes {
    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper zookeeper = new ZooKeeper(given.get("--zookeeper"), 10_000, event -> {
            if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        if (!connected.await(30, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no connection to ZooKeeper");
        }
        String create = given.get("--create", "");
        for (int end = create.indexOf('/', 1); !create.isEmpty(); end = create.indexOf('/', end + 1)) {
            createIfAbsent(zookeeper, end < 0 ? create : create.substring(0, end));
            if (end < 0) {
                break;
            }
        }
        String delete = given.get("--delete", "");
        if (!delete.isEmpty() && zookeeper.exists(delete, false) != null) {
            ZKUtil.deleteRecursive(zookeeper, delete);
        }
        String export = given.get("--export", "");
        if (!export.isEmpty()) {
            Files.write(Paths.get(given.get("--output")), lines(zookeeper, export), StandardCharsets.UTF_8);
        }
        zookeeper.close();
        System.exit(0);
    }

    /** Path, version and data of each node. */
    private static List<String> lines(ZooKeeper zookeeper, String root) throws Exception {
        List<String> lines = new ArrayList<>();
        for (String path : new TreeSet<>(ZKUtil.listSubTreeBFS(zookeeper, root))) {
            Stat stat = new Stat();
            try {
                byte[] data = zookeeper.getData(path, false, stat);
                String encoded = data == null ? "" : Base64.getEncoder().encodeToString(data);
                lines.add(path + "\t" + stat.getVersion() + "\t" + encoded);
            } catch (KeeperException.NoNodeException gone) {
                // An ephemeral node of a server that was killed.
            }
        }
        return lines;
    }

    private static void createIfAbsent(ZooKeeper zookeeper, String path) throws Exception {
        try {
            zookeeper.create(path, new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        } catch (KeeperException.NodeExistsException present) {
            // What is wanted.
        }
    }
}
