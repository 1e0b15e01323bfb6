package dr.lab;

import io.netty.buffer.ByteBuf;
import io.pravega.client.ClientConfig;
import io.pravega.client.connection.impl.ConnectionPoolImpl;
import io.pravega.client.connection.impl.RawClient;
import io.pravega.client.connection.impl.SocketConnectionFactoryImpl;
import io.pravega.shared.protocol.netty.PravegaNodeUri;
import io.pravega.shared.protocol.netty.Reply;
import io.pravega.shared.protocol.netty.WireCommands;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * {@code ReadSegments --port N --segments FILE --output FILE}: reads bytes of segments of any kind from the segment store, tables too.
 * A line of the first file is {@code first end name}. The second gets a line for each: {@code name digest}, SHA-256 in hex of these
 * bytes, or {@code name !what the store said}.
 */
public final class ReadSegments {
    private static final int READ_BYTES = 1 << 20;

    private final RawClient client;

    private ReadSegments(int port) {
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
            long id = client.getFlow().getNextSequenceNumber();
            int length = (int) Math.min(READ_BYTES, end - offset);
            Reply reply = client.sendRequest(id, new WireCommands.ReadSegment(segment, offset, length, "", id))
                .get(Cluster.ANSWER_SECONDS, TimeUnit.SECONDS);
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
}
