package dr.lab;

import io.pravega.shared.protocol.netty.WireCommandType;
import io.pravega.shared.protocol.netty.WireCommands;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.InetAddress;
import java.net.Socket;

/**
 * {@code FlushToStorage --port N --containers N}: asks each container through the admin gateway to move everything to Tier-2.
 *
 * The command line tool that has this command is not published as an artifact, so the request is framed here.
 */
public final class FlushToStorage {
    private static final int ANSWER_LIMIT_MILLISECONDS = 300_000;

    public static void main(String[] arguments) throws Exception {
        Arguments given = new Arguments(arguments);
        int containers = given.number("--containers", 1);
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), given.number("--port", 0))) {
            socket.setSoTimeout(ANSWER_LIMIT_MILLISECONDS);
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            DataInputStream in = new DataInputStream(socket.getInputStream());
            for (int container = 0; container < containers; container++) {
                flush(out, in, container);
            }
        }
        System.exit(0);
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
