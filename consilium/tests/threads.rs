//! `compute.threads` is obeyed: by the pool of a process, and by the program as it is called.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::process::Command;

use consilium::threads::{self, ThreadsError};
use rayon::prelude::*;

/// One test, because the pool of a process starts once.
#[test]
fn arithmetic_runs_on_as_many_threads_as_were_asked_for_and_on_no_others() {
    let three = NonZeroUsize::new(3);
    threads::start(three).expect("the first start");
    let ids: BTreeSet<String> =
        rayon::broadcast(|_| format!("{:?}", std::thread::current().id())).into_iter().collect();
    assert_eq!(ids.len(), 3);
    let used: BTreeSet<String> = (0..10_000)
        .into_par_iter()
        .map(|turn| {
            std::hint::black_box((0..turn).sum::<i32>());
            format!("{:?}", std::thread::current().id())
        })
        .collect();
    assert!(used.is_subset(&ids), "{used:?} of {ids:?}");
    let named = rayon::broadcast(|_| std::thread::current().name().map(str::to_owned));
    assert!(named.iter().flatten().all(|name| name.starts_with("compute-")), "{named:?}");

    threads::start(three).expect("the same again changes nothing");
    threads::start(None).expect("no wish, no conflict");
    let error = threads::start(NonZeroUsize::new(2)).expect_err("the pool is there");
    assert!(matches!(error, ThreadsError::Running { running: 3, .. }), "{error}");
}

#[test]
fn the_program_computes_with_the_threads_of_its_experiment() {
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/demo.toml");
    for threads in [1, 3] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
        command.arg("plan").arg(&demo).args(["--format", "json", "--set", &format!("compute.threads={threads}")]);
        let output = command.output().expect("the program starts");
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(value["data"]["prediction"]["threads"], threads, "{value}");
    }
}
