package dr.lab;

import io.pravega.client.stream.Serializer;
import io.pravega.client.stream.impl.ByteArraySerializer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.List;

/**
 * Events that say what they are: {@code scope/stream|key|number|} and filler up to the wanted size. The same arguments give the
 * same bytes, so an event that comes back can be checked without having been recorded.
 */
final class Events {
    static final Serializer<byte[]> SERIALIZER = new ByteArraySerializer();
    static final int SMALLEST = 40;
    static final int LARGEST = 100_000;
    /** More than {@link Serializer#MAX_EVENT_SIZE}, up to which an event is one request. */
    static final int TOO_LARGE_FOR_A_REQUEST = Serializer.MAX_EVENT_SIZE + 600_000;
    /** Within so many bytes everything stands that says what an event is, also with the longest names. */
    private static final int HEADER_MAX = 600;

    private Events() {
    }

    /** An event read back, taken apart. */
    static final class Parsed {
        final String stream;
        final String key;
        final int number;
        final String digest;

        Parsed(byte[] event) {
            String[] parts = new String(event, 0, Math.min(event.length, HEADER_MAX), StandardCharsets.UTF_8).split("\\|", 4);
            if (parts.length < 4) {
                throw new IllegalStateException("not an event of the lab: " + event.length + " bytes, " + hex(event, 16));
            }
            stream = parts[0];
            key = parts[1];
            number = Integer.parseInt(parts[2]);
            digest = digest(event);
        }
    }

    static byte[] make(String stream, String key, int number, int size) {
        byte[] header = (stream + "|" + key + "|" + number + "|").getBytes(StandardCharsets.UTF_8);
        byte[] event = Arrays.copyOf(header, Math.max(Math.max(size, SMALLEST), header.length));
        long state = Arrays.hashCode(header) * 2654435761L + 1;
        for (int i = header.length; i < event.length; i++) {
            // 64 different bytes per event, repeated: cheap to compress in captures, still different in every event.
            if (i - header.length < 64) {
                state = state * 6364136223846793005L + 1442695040888963407L;
                event[i] = (byte) (state >>> 56);
            } else {
                event[i] = event[i - 64];
            }
        }
        return event;
    }

    /** A size between 40 B and 100 kB: mostly small, now and then large. */
    static int sizeOf(int number) {
        if (number % 97 == 13) {
            return LARGEST;
        }
        if (number % 11 == 5) {
            return 4_000 + number % 7 * 517;
        }
        return SMALLEST + number * 37 % 600;
    }

    static String digest(byte[] bytes) {
        try {
            return hex(MessageDigest.getInstance("SHA-256").digest(bytes), 8);
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    static String hex(byte[] bytes, int limit) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < Math.min(limit, bytes.length); i++) {
            text.append(String.format("%02x", bytes[i]));
        }
        return text.toString();
    }

    /** The first difference of two lists, or null. */
    static String difference(List<String> expected, List<String> found) {
        for (int i = 0; i < Math.max(expected.size(), found.size()); i++) {
            String want = i < expected.size() ? expected.get(i) : "nothing";
            String have = i < found.size() ? found.get(i) : "nothing";
            if (!want.equals(have)) {
                return "at " + i + " expected " + want + " found " + have
                    + " (" + expected.size() + " expected, " + found.size() + " found)";
            }
        }
        return null;
    }
}
