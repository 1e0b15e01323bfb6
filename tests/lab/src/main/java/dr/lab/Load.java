package dr.lab;

/** Placeholder while the rest is tried. */
public final class Load {
    static final String SCOPE = "load";
}
