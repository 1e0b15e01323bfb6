package dr.lab;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;

/** A list of named checks, from any thread, each bounded in time: against a badly recovered cluster requests may hang for ever. */
final class Checks {
    private static final int LIMIT_SECONDS = 150;

    private final int limitSeconds;

    Checks() {
        this(LIMIT_SECONDS);
    }

    Checks(int limitSeconds) {
        this.limitSeconds = limitSeconds;
    }

    /** Returns figures when all is well; throws, or returns text that starts with {@link #BAD}, when not. */
    interface Body {
        String run() throws Exception;
    }

    static final String BAD = "differs: ";

    static final class Check {
        String name;
        boolean ok;
        String detail;
    }

    private final List<Check> list = Collections.synchronizedList(new ArrayList<>());
    private final ExecutorService runner = Executors.newCachedThreadPool(work -> {
        Thread thread = new Thread(work, "check");
        thread.setDaemon(true);
        return thread;
    });

    void check(String name, Body body) {
        Check check = new Check();
        check.name = name;
        AtomicReference<Thread> worker = new AtomicReference<>();
        Future<String> running = runner.submit(() -> {
            worker.set(Thread.currentThread());
            return body.run();
        });
        long start = System.nanoTime();
        try {
            check.detail = running.get(limitSeconds, TimeUnit.SECONDS);
            check.ok = !check.detail.startsWith(BAD);
        } catch (TimeoutException hanging) {
            check.detail = "no answer in " + limitSeconds + " s; waiting " + ownPlaces(worker.get());
            running.cancel(true);
        } catch (Exception failure) {
            Throwable cause = failure.getCause() == null ? failure : failure.getCause();
            check.detail = cause.toString();
            cause.printStackTrace();
        }
        System.out.printf("%-4s %5d ms  %s: %s%n", check.ok ? "ok" : "FAIL", (System.nanoTime() - start) / 1_000_000, name,
            check.detail);
        list.add(check);
    }

    /** Where in the lab's own code a thread is, the innermost place first: what it waits for there is what gave no answer. */
    private static String ownPlaces(Thread worker) {
        return worker == null ? "to begin" : Arrays.stream(worker.getStackTrace())
            .filter(frame -> frame.getClassName().startsWith("dr.lab."))
            .map(frame -> "at " + frame.getFileName() + ":" + frame.getLineNumber())
            .collect(Collectors.joining(" "));
    }

    /** A check whose answer is yes or no. */
    static String yes(boolean right, String detail) {
        return right ? detail : BAD + detail;
    }

    /** A check that compares two texts. */
    static String same(Object expected, Object found) {
        return expected.equals(found) ? String.valueOf(found) : BAD + "expected " + expected + " found " + found;
    }

    boolean allOk() {
        return !list.isEmpty() && list.stream().allMatch(check -> check.ok);
    }

    /** Writes the report and ends the program: 0 if all checks passed, 3 if not. */
    void finish(String file, Map<String, Object> figures) throws Exception {
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("checks", list);
        report.putAll(figures);
        Truth.writeJson(file, report);
        long failed = list.stream().filter(check -> !check.ok).count();
        System.out.println(list.size() - failed + " of " + list.size() + " checks passed");
        System.out.flush();
        // Threads of hanging checks must not keep the program alive.
        Runtime.getRuntime().halt(failed == 0 && !list.isEmpty() ? 0 : 3);
    }
}
