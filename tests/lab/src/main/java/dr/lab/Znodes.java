package dr.lab;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZKUtil;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/** {@code Znodes --zookeeper HOST:PORT [--create PATH] [--delete PATH]}: creates with parents, deletes with children. */
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
        zookeeper.close();
        System.exit(0);
    }

    private static void createIfAbsent(ZooKeeper zookeeper, String path) throws Exception {
        try {
            zookeeper.create(path, new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        } catch (KeeperException.NodeExistsException present) {
            // What is wanted.
        }
    }
}
