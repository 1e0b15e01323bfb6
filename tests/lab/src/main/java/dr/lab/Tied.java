package dr.lab;

import java.lang.reflect.InvocationTargetException;
import java.util.Arrays;

/**
 * {@code Tied <pid> <main class> <arguments>}: runs a main class and halts as soon as the process {@code pid} is gone.
 *
 * Servers of a test must not survive the test, not even when it is killed with SIGKILL.
 */
public final class Tied {
    public static void main(String[] arguments) throws Exception {
        ProcessHandle driver = ProcessHandle.of(Long.parseLong(arguments[0])).orElse(null);
        if (driver == null) {
            System.err.println("process " + arguments[0] + " is gone already");
            Runtime.getRuntime().halt(9);
            return;
        }
        driver.onExit().thenRun(() -> Runtime.getRuntime().halt(9));
        try {
            Class.forName(arguments[1])
                .getMethod("main", String[].class)
                .invoke(null, (Object) Arrays.copyOfRange(arguments, 2, arguments.length));
        } catch (InvocationTargetException failure) {
            failure.getCause().printStackTrace();
            // Client threads would keep the process alive.
            Runtime.getRuntime().halt(1);
        }
    }
}
