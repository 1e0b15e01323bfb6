package dr.lab;

import io.pravega.shared.protocol.netty.WireCommandType;
import io.pravega.shared.protocol.netty.WireCommands;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code FlushToStorage --port N --containers N}: asks each container through the admin gateway to move everything to Tier-2.
 *
 * The command line tool that has this command is not published as an artifact, so the request is framed here.
 */
public final class FlushToStorage {
    private static final int ANSWER_LIMIT_MILLISECONDS = 300_000;

    /** The store gives up when new work keeps coming, such as that of the controller right after it started. */
    private static final int ATTEMPTS = 4;
    private static final long PAUSE_MILLISECONDS = 3_000;

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        int containers = given.number("--containers", 1);
        List<Integer> refused = new ArrayList<>();
        for (int container = 0; container < containers; container++) {
            boolean done = false;
            for (int attempt = 0; !done && attempt < ATTEMPTS; attempt++) {
                Thread.sleep(attempt == 0 ? 0 : PAUSE_MILLISECONDS);
                done = flushed(given.number("--port", 0), container);
            }
            if (!done) {
                refused.add(container);
            }
        }
        if (!refused.isEmpty()) {
            throw new IllegalStateException("containers that could not be flushed: " + refused);
        }
        System.exit(0);
    }

    private static boolean flushed(int port, int container) {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
            socket.setSoTimeout(ANSWER_LIMIT_MILLISECONDS);
            flush(new DataOutputStream(socket.getOutputStream()), new DataInputStream(socket.getInputStream()), container);
            return true;
        } catch (Exception failure) {
            // The store closes the connection after an error.
            System.out.println("container " + container + ": " + failure);
            return false;
        }
    }

    private static void flush(DataOutputStream out, DataInputStream in, int container) throws Exception {
        WireCommands.FlushToStorage request = new WireCommands.FlushToStorage(container, "", container + 1L);
        ByteArrayOutputStream fields = new ByteArrayOutputStream();
        request.writeFields(new DataOutputStream(fields));
        out.writeInt(request.getType().getCode());
        out.writeInt(fields.size());
        fields.writeTo(out);
        out.flush();
        int type = in.readInt();
        in.readFully(new byte[in.readInt()]);
        while (type == WireCommandType.HELLO.getCode()) {
            type = in.readInt();
            in.readFully(new byte[in.readInt()]);
        }
        if (type != new WireCommands.StorageFlushed(0).getType().getCode()) {
            throw new IllegalStateException("container " + container + " answered with command type " + type);
        }
        System.out.println("container " + container + " flushed");
    }
}
