//! placeholder
use dr_lab::WorkloadSize;
use dr_tests::real_servers::{self, must};

#[test]
fn probe() {
    let mut test = real_servers::up(|options| options.writer_flush_milliseconds = 1000);
    let truth = test.directory.path().join("truth.json");
    must("run the workload", test.lab.run_workload(&truth, WorkloadSize::Small));
    let acknowledged = test.directory.path().join("acknowledged");
    let load = must("start load", test.lab.start_load(&acknowledged, Some(400)));
    std::thread::sleep(std::time::Duration::from_millis(27_300));
    must("kill", test.lab.kill_all());
    load.kill();
    let keep = std::path::Path::new("/tmp/crash-probe");
    let _ = std::fs::remove_dir_all(keep);
    assert!(
        std::process::Command::new("cp").arg("-a").arg(test.directory.path()).arg(keep).status().unwrap().success()
    );
}
