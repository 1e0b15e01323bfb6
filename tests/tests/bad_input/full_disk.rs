//! Disks without room, one after the other that of the run directory, of Tier-1 and of Tier-2, and a Tier-2 that can only be read: `dr`
//! stops and says which, leaves nothing half written, and the same command goes on when that is mended.

use std::collections::BTreeMap;

use dr_tests::captured::{self, CapturedTree};
use dr_tests::dr::Finished;
use dr_tests::small_disk::{self, SmallDisk};

/// Room that is left while a command is tried, in KiB.
const ROOM: [u32; 4] = [0, 8, 64, 200];

/// A captured tree, with one of `run`, `tier1` and `tier2` on a small disk at `full`.
struct Place {
    disk: SmallDisk,
    tree: CapturedTree,
    small: &'static str,
}

impl Place {
    fn new(small: &'static str) -> Self {
        let tree = captured::unpack("flushed");
        let disk = SmallDisk::mount(&tree.directory.path().join("full"), 32);
        let place = Self { disk, tree, small };
        place.disk.shell(&format!("mv {} {}", place.tree.root.display(), place.path("tier2")));
        place
    }

    fn path(&self, name: &str) -> String {
        if name == self.small { format!("full/{name}") } else { name.to_owned() }
    }

    fn plan(&self) -> Finished {
        let (tier2, tier1, run) = (self.path("tier2"), format!("dir:{}", self.path("tier1")), self.path("run"));
        self.disk.dr(&["plan", &tier2, "--tier1", &tier1, "--cluster", "lab", "--directory", &run])
    }

    fn of_run(&self, words: &[&str]) -> Finished {
        self.disk.dr(&[&[words[0], &*self.path("run")], &words[1..]].concat())
    }

    /// What Tier-2 holds, without what names run directories.
    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        self.disk.shell(&format!("rm -rf copy; cp -a {} copy", self.path("tier2")));
        let mut content = captured::content(&self.tree.directory.path().join("copy"));
        content.retain(|key, _| !key.starts_with("_dr/recoveries/"));
        content
    }

    #[track_caller]
    fn stopped(&self, finished: &Finished) {
        let said = &finished.stderr;
        assert_eq!(finished.code, 1, "{}: {said}", self.small);
        assert!(said.contains("No space left on device") && said.contains("\n  next: "), "{}: {said}", self.small);
        assert!(said.contains(&self.path(self.small)), "{} is named: {said}", self.small);
    }

    /// Tries a command with little room, then with enough; tells how often it was stopped.
    fn try_with_little_room(&self, command: &str) -> usize {
        let mut stopped = 0;
        for room in ROOM {
            self.disk.fill_up_to(room);
            let tried = self.of_run(&[command, "--yes", "--retry-for", "0"]);
            if tried.code == 0 {
                break;
            }
            self.stopped(&tried);
            stopped += 1;
            // Whoever looks now finds a plan, a page and a journal that are whole.
            self.of_run(&["show"]).expect_code(0);
            self.disk.shell(&format!("grep -q '</html>' {}/report.html", self.path("run")));
        }
        self.disk.empty();
        self.of_run(&[command, "--yes"]).expect_code(0);
        self.of_run(&["audit"]).expect_code(0);
        stopped
    }
}

fn nothing_is_lost_by_a_full_disk_of(small: &'static str) {
    if !small_disk::is_wanted() {
        return;
    }
    let undisturbed = Place::new("none");
    undisturbed.plan().expect_code(0);
    undisturbed.of_run(&["apply", "--yes"]).expect_code(0);

    let place = Place::new(small);
    let before = place.content();
    if small == "run" {
        place.disk.fill_up_to(64);
        place.stopped(&place.plan());
        place.disk.empty();
        // What the run left for whoever wants to know why is not overwritten.
        assert!(place.plan().expect_code(3).stderr.contains("is not empty"));
        place.disk.shell("mv full/run stopped-run");
    }
    place.plan().expect_code(0);
    assert!(place.try_with_little_room("apply") > 0, "{small}: never stopped");
    assert!(place.content() == undisturbed.content(), "{small}: applied");
    let (tier2, tier1) = (place.path("tier2"), format!("dir:{}", place.path("tier1")));
    place.disk.dr(&["verify", &tier2, "--tier1", &tier1, "--cluster", "lab"]).expect_code(0);
    let stopped = place.try_with_little_room("rollback");
    assert!(stopped > 0 || small == "tier2", "{small}: the rollback was never stopped");
    assert!(place.content() == before, "{small}: rolled back");
}

#[test]
fn a_full_disk_of_the_run_directory() {
    nothing_is_lost_by_a_full_disk_of("run");
}

#[test]
fn a_full_disk_of_tier1() {
    nothing_is_lost_by_a_full_disk_of("tier1");
}

#[test]
fn a_full_disk_of_tier2() {
    nothing_is_lost_by_a_full_disk_of("tier2");
}

/// What cannot be written at all is like a full disk; plans can be made of it, and results verified.
#[test]
fn a_tier2_that_can_only_be_read() {
    if !small_disk::is_wanted() {
        return;
    }
    let place = Place::new("tier2");
    let before = place.content();
    let may_be = |what: &str| place.disk.shell(&format!("mount -o remount,{what} full"));
    let refused = |finished: &Finished| {
        let said = &finished.stderr;
        assert!(
            finished.code == 1 && said.contains("error[tier2-io]") && said.contains("Read-only file system"),
            "{said}"
        );
        assert!(said.contains("full/tier2"), "{said}");
    };
    may_be("ro");
    place.plan().expect_code(0);
    refused(&place.of_run(&["apply", "--yes", "--retry-for", "0"]));
    may_be("rw");
    place.of_run(&["apply", "--yes"]).expect_code(0);
    may_be("ro");
    place.disk.dr(&["verify", "full/tier2", "--tier1", "dir:tier1", "--cluster", "lab"]).expect_code(0);
    refused(&place.of_run(&["rollback", "--yes", "--retry-for", "0"]));
    may_be("rw");
    place.of_run(&["rollback", "--yes"]).expect_code(0);
    assert!(place.content() == before);
}
