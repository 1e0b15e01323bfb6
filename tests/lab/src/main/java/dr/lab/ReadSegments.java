package dr.lab;

import io.netty.buffer.ByteBuf;
import io.pravega.client.ClientConfig;
import io.pravega.client.connection.impl.ConnectionPoolImpl;
import io.pravega.client.connection.impl.RawClient;
import io.pravega.client.connection.impl.SocketConnectionFactoryImpl;
import io.pravega.shared.protocol.netty.ConnectionFailedException;
import io.pravega.shared.protocol.netty.PravegaNodeUri;
import io.pravega.shared.protocol.netty.Reply;
import io.pravega.shared.protocol.netty.WireCommands;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * {@code ReadSegments --port N --segments FILE --output FILE}: reads bytes of segments of any kind from the segment store, tables too.
 * A line of the first file is {@code first end name}. The second gets a line for each: {@code name digest}, SHA-256 in hex of these
 * bytes, or {@code name !what the store said}.
 */
public final class ReadSegments {
    private static final int READ_BYTES = 1 << 20;

    /** How long a container may take to start after the controller answers. */
    private static final long START_LIMIT_NANOSECONDS = TimeUnit.SECONDS.toNanos(60);
    private static final long PAUSE_MILLISECONDS = 300;

    private final int port;
    private RawClient client;

    private ReadSegments(int port) {
        this.port = port;
        connect();
    }

    private void connect() {
        ClientConfig config = ClientConfig.builder().controllerURI(URI.create("tcp://127.0.0.1:1")).build();
        client = new RawClient(new PravegaNodeUri("127.0.0.1", port),
            new ConnectionPoolImpl(config, new SocketConnectionFactoryImpl(config)));
    }

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        ReadSegments reader = new ReadSegments(given.number("--port", 0));
        List<String> output = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(given.get("--segments")))) {
            String[] words = line.split(" ", 3);
            output.add(words[2] + " " + reader.digest(words[2], Long.parseLong(words[0]), Long.parseLong(words[1])));
        }
        Files.write(Path.of(given.get("--output")), output);
        System.exit(0);
    }

    private String digest(String segment, long first, long end) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (long offset = first; offset < end;) {
            int length = (int) Math.min(READ_BYTES, end - offset);
            Reply reply = ask(segment, offset, length);
            if (!(reply instanceof WireCommands.SegmentRead)) {
                return "!" + reply.getClass().getSimpleName() + " at " + offset;
            }
            ByteBuf data = ((WireCommands.SegmentRead) reply).getData();
            if (!data.isReadable()) {
                return "!ends at " + offset;
            }
            byte[] bytes = new byte[(int) Math.min(data.readableBytes(), end - offset)];
            data.readBytes(bytes);
            ((WireCommands.SegmentRead) reply).release();
            digest.update(bytes);
            offset += bytes.length;
        }
        byte[] sum = digest.digest();
        return Events.hex(sum, sum.length);
    }

    /** A store says of a container that has not started yet that it lives elsewhere, or drops the connection. */
    private Reply ask(String segment, long offset, int length) throws Exception {
        long end = System.nanoTime() + START_LIMIT_NANOSECONDS;
        while (true) {
            boolean last = System.nanoTime() > end;
            try {
                long id = client.getFlow().getNextSequenceNumber();
                Reply reply = client.sendRequest(id, new WireCommands.ReadSegment(segment, offset, length, "", id))
                    .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
                if (last || !(reply instanceof WireCommands.WrongHost)) {
                    return reply;
                }
            } catch (ExecutionException dropped) {
                if (last || !(dropped.getCause() instanceof ConnectionFailedException)) {
                    throw dropped;
                }
            }
            Thread.sleep(PAUSE_MILLISECONDS);
            connect();
        }
    }
}
