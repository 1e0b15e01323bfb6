package dr.lab;

import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableConfiguration;
import java.util.Map;

/**
 * {@code CreateAgain --controller URI --truth FILE --report FILE --table SCOPE/NAME}: a key-value table of the truth whose name was freed, since
 * nothing told any more how it was made, is created once more, and holds what it held.
 */
public final class CreateAgain {
    private CreateAgain() {
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        Cluster cluster = new Cluster(given.get("--controller"));
        Truth truth = Truth.read(given.get("--truth"));
        String path = given.get("--table");
        Truth.TableTruth table = truth.tables.stream().filter(known -> known.path().equals(path)).findFirst().orElseThrow();
        Checks checks = new Checks();
        checks.check("create " + path, () -> Checks.yes(create(cluster, table), "created"));
        checks.check("create it twice", () -> Checks.yes(!create(cluster, table), "it exists"));
        checks.check("entries of " + path, () -> Checker.compare(cluster, truth, table));
        checks.check("put into " + path, () -> {
            Writing writing = new Writing(cluster, truth);
            try (KeyValueTable open = writing.open(table)) {
                writing.put(table, open, 1000, 1);
            }
            return Checker.compare(cluster, truth, table);
        });
        checks.check("delete " + path, () -> Checks.yes(cluster.tables.deleteKeyValueTable(table.scope, table.name), "deleted"));
        checks.finish(given.get("--report"), Map.of());
    }

    /** False if there is one. */
    private static boolean create(Cluster cluster, Truth.TableTruth table) {
        return cluster.tables.createKeyValueTable(table.scope, table.name, KeyValueTableConfiguration.builder()
            .partitionCount(table.partitions).primaryKeyLength(table.primaryKeyLength)
            .secondaryKeyLength(table.secondaryKeyLength).build());
    }
}
