//! Processes that want one socket, a folder that others may enter, and services that are silent.

use std::os::unix::net::UnixListener as Silent;
use std::sync::{Arc, Barrier};

use super::*;

fn place(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("consilium-local-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir(&path).unwrap();
    path
}

fn mode(folder: &Path) -> u32 {
    symlink_metadata(folder).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_folder_that_cannot_be_made_is_said_to_be_so() {
    let folder = place("nowhere").join("missing").join("s");
    let Err(LocalError::Folder { folder: named, found }) = own(&folder) else { panic!("it was made") };
    assert!(named == folder && found.starts_with("cannot be made"), "{found}");
}

#[tokio::test]
async fn of_many_that_open_a_socket_that_was_left_behind_one_has_it() {
    let folder = place("one").join("s");
    own(&folder).unwrap();
    for _ in 0..20 {
        drop(Silent::bind(folder.join("x.sock")).unwrap());
        let (together, runtime) = (Arc::new(Barrier::new(8)), tokio::runtime::Handle::current());
        let open = || {
            let (together, runtime, folder) = (Arc::clone(&together), runtime.clone(), folder.clone());
            std::thread::spawn(move || {
                let _inside = runtime.enter();
                together.wait();
                let opened = Local::open(&folder, "x.sock");
                together.wait();
                opened
            })
        };
        let threads: Vec<_> = (0..8).map(|_| open()).collect();
        let opened: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(opened.iter().filter(|it| it.is_ok()).count(), 1);
        assert!(opened.iter().all(|it| matches!(it, Ok(_) | Err(LocalError::Busy { .. }))));
        // It is the one that is reached.
        assert!(Caller::connect(folder.join("x.sock")).is_ok());
    }
}

#[tokio::test]
async fn whoever_is_about_to_open_it_has_it_already() {
    let folder = place("about").join("s");
    own(&folder).unwrap();
    let lock = File::create(folder.join("x.lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(Local::open(&folder, "x.sock"), Err(LocalError::Busy { .. })));
    drop(lock);
    let open = Local::open(&folder, "x.sock").unwrap();
    drop(open);
    assert!(!folder.join("x.sock").exists());
    // A release that knew no lock.
    let _other = Silent::bind(folder.join("x.sock")).unwrap();
    assert!(matches!(Local::open(&folder, "x.sock"), Err(LocalError::Busy { .. })));
}

#[tokio::test]
async fn only_its_owner_enters_the_folder_also_where_it_was_there_before() {
    let place = place("folder");
    let fresh = place.join("fresh");
    drop(Local::open(&fresh, "x.sock").unwrap());
    assert_eq!(mode(&fresh), 0o700);
    let open = place.join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, Permissions::from_mode(0o770)).unwrap();
    drop(Local::open(&open, "x.sock").unwrap());
    assert_eq!(mode(&open), 0o700);
    // A link may lead where others enter.
    let linked = place.join("linked");
    std::os::unix::fs::symlink(&open, &linked).unwrap();
    assert!(matches!(Local::open(&linked, "x.sock"), Err(LocalError::Folder { .. })));
    let nowhere = place.join("none").join("s");
    assert!(matches!(Local::open(&nowhere, "x.sock"), Err(LocalError::Folder { .. })));
}

#[test]
fn a_service_that_takes_nothing_or_says_nothing_is_not_waited_for() {
    let path = place("silent").join("x.sock");
    let patience = Duration::from_millis(50);
    assert!(matches!(ask(&path, b"?\n", 9, patience), Err(LocalError::Closed { .. })));
    let service = Silent::bind(&path).unwrap();
    // It is in the queue, and nobody accepts it.
    assert!(matches!(ask(&path, b"?\n", 9, patience), Err(LocalError::Silent { waited, .. }) if waited == patience));
    let long = vec![0; 16 << 20];
    assert!(matches!(ask(&path, &long, 9, patience), Err(LocalError::Silent { .. })));
    drop(service);
}

#[test]
fn a_whole_line_is_an_answer_and_a_part_of_one_is_none() {
    let path = place("line").join("x.sock");
    let service = Silent::bind(&path).unwrap();
    let answering = std::thread::spawn(move || {
        for answer in [&b"yes\n"[..], b"ye", b"more than is read\n", b""] {
            let (mut line, _) = service.accept().unwrap();
            let mut heard = [0; 2];
            line.read_exact(&mut heard).unwrap();
            line.write_all(answer).unwrap();
        }
    });
    let asked = || ask(&path, b"?\n", 9, Duration::from_secs(60));
    assert_eq!(asked().unwrap(), "yes\n");
    for _ in 0..3 {
        assert!(matches!(asked(), Err(LocalError::Broken { .. })));
    }
    answering.join().unwrap();
}
