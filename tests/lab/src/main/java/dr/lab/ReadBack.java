package dr.lab;

import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** {@code ReadBack --controller URI --file FILE --stream SCOPE/STREAM}: writes what the client reads, length-delimited. */
public final class ReadBack {
    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        Cluster cluster = new Cluster(given.get("--controller"));
        String[] path = given.get("--stream").split("/", 2);
        List<byte[]> events = Reading.bySegment(cluster, path[0], path[1], cluster.head(path[0], path[1]), cluster.tail(path[0], path[1]));
        try (DataOutputStream output = new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(Path.of(given.get("--file")))))) {
            for (byte[] event : events) {
                output.writeInt(event.length);
                output.write(event);
            }
        }
        System.exit(0);
    }
}
