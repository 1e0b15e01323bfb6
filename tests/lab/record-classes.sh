#!/bin/sh
# Makes tests/lab/classes.txt.gz anew: the names of the classes that the servers and programs of the lab load, of which `src/shared_classes.rs`
# makes an archive that virtual machines start from. To be run after a new version of Pravega or BookKeeper; needs some minutes.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
mkdir "$work/lists"
lab() {
    JAVA_TOOL_OPTIONS="-XX:DumpLoadedClassList=$work/lists/%p.txt" cargo xtask lab "$@" --work "$work/lab"
}
lab up
lab workload
lab load --seconds 10
lab flush
lab verify
lab verify-load
lab more
lab down
# Names alone, each once: what else a list tells differs from one version of Java to the next.
cat "$work"/lists/*.txt | grep -v '^[#@]' | grep -v 'source:' | cut -d ' ' -f 1 | sort -u | gzip -9 -n > tests/lab/classes.txt.gz
rm -r "$work"
