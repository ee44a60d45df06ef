//! Where groups are found and what is written there, on folders that stand for both versions.

use super::*;

const HYBRID: &str = "\
31 22 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
35 31 0:31 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
39 31 0:35 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n\
41 31 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

#[test]
fn with_both_versions_mounted_the_one_that_has_the_controllers_is_used() {
    let own = "8:pids:/\n4:memory:/system.slice/x.service\n0::/\n";
    let expected = vec![
        Place::Memory("/sys/fs/cgroup/memory/system.slice/x.service".into()),
        Place::Processes("/sys/fs/cgroup/pids/".into()),
    ];
    assert_eq!(places(HYBRID, own), Ok(expected));
}

#[test]
fn processor_time_is_bounded_where_a_group_for_it_is_to_be_had() {
    let mounts = format!("{HYBRID}36 31 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
    let own = "3:cpu,cpuacct:/x\n0::/\n";
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let expected = Place::Processors("/sys/fs/cgroup/cpu/x".into());
    assert_eq!(processors(&mounts, own, &folders), Ok(Some(expected)));
    assert!(processors(HYBRID, own, &folders).unwrap_err().contains("not given"));
    fs::write(folder.path().join("cpu.weight"), "").unwrap();
    assert_eq!(processors(&mounts, own, &folders), Ok(None), "version 2 has it in the one group");
}

#[test]
fn a_container_sees_its_own_group_at_the_mount() {
    let mounts = "35 31 0:31 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n";
    let place = |own| places(mounts, own).unwrap();
    assert_eq!(place("0::/docker/abc/x\n"), [Place::Unified("/sys/fs/cgroup/x".into())]);
    assert_eq!(place("0::/x\n"), [Place::Unified("/sys/fs/cgroup/x".into())]);
    assert!(places("", "0::/\n").is_err());
}

#[test]
fn a_version_2_group_is_divided_once_and_holds_its_owner_below() {
    let base = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(base.path().join(name), text).unwrap();
    write("cgroup.subtree_control", "");
    write("cgroup.controllers", "cpu memory pids\n");
    write("cgroup.procs", &format!("{}\n", std::process::id()));
    divide(base.path()).unwrap();
    let read = |name: &str| fs::read_to_string(base.path().join(name)).unwrap();
    assert_eq!(read("backspace.main/cgroup.procs"), std::process::id().to_string());
    // A file holds what was written last; the kernel's would hold all three.
    assert_eq!(read("cgroup.subtree_control"), "+cpu");
    assert_eq!(Place::Unified(base.path().join(MAIN)).folder(), base.path());

    // What this process has started goes along, whenever the first sandbox is opened.
    let mut child = std::process::Command::new("sleep").arg("1001").spawn().unwrap();
    write("cgroup.subtree_control", "");
    write("cgroup.procs", &format!("{}\n{}\n", std::process::id(), child.id()));
    let divided = divide(base.path());
    child.kill().unwrap();
    child.wait().unwrap();
    divided.unwrap();
    assert_eq!(read("backspace.main/cgroup.procs"), child.id().to_string());

    write("cgroup.subtree_control", "cpu");
    write("cgroup.procs", "1\n");
    assert!(divide(base.path()).unwrap_err().to_string().contains("other processes"));
    write("cgroup.controllers", "cpu pids\n");
    assert!(divide(base.path()).unwrap_err().to_string().contains("not given"));
}

#[test]
fn bounds_go_to_the_files_of_each_version() {
    let base = tempfile::tempdir().unwrap();
    let bounds = Bounds { memory_bytes_max: 5 << 30, processes_max: 100, processors_max: Some(3) };
    let groups = Groups { folders: vec![base.path().to_owned()], processors: Ok(()) };
    let read = |name: &str| fs::read_to_string(base.path().join(name)).unwrap();
    Place::Unified(PathBuf::new()).bound(base.path(), bounds).unwrap();
    assert_eq!((read("memory.max"), read("pids.max")), ("5368709120".to_owned(), "172".to_owned()));
    Place::Memory(PathBuf::new()).bound(base.path(), bounds).unwrap();
    assert_eq!(read("memory.limit_in_bytes"), "5368709120");
    assert!(!groups.bound_swap(), "no file of it is there");
    assert!(!base.path().join("memory.swap.max").exists() && !base.path().join("cpu.max").exists());
    Place::Processors(PathBuf::new()).bound(base.path(), bounds).unwrap();
    assert_eq!((read("cpu.shares"), read("cpu.cfs_quota_us")), ("512".to_owned(), "300000".to_owned()));
    for name in ["cpu.max", "cpu.weight", "memory.swap.max", "memory.memsw.limit_in_bytes"] {
        fs::write(base.path().join(name), "").unwrap();
    }
    Place::Unified(PathBuf::new()).bound(base.path(), bounds).unwrap();
    Place::Memory(PathBuf::new()).bound(base.path(), bounds).unwrap();
    let swap = (read("memory.swap.max"), read("memory.memsw.limit_in_bytes"));
    assert_eq!((swap, groups.bound_swap()), (("0".to_owned(), "5368709120".to_owned()), true));
    assert_eq!((read("cpu.max"), read("cpu.weight")), ("300000 100000".to_owned(), "50".to_owned()));

    fs::write(base.path().join("memory.events"), "oom 4\noom_kill 0\n").unwrap();
    assert!(!groups.ran_out_of_memory());
    fs::write(base.path().join("memory.oom_control"), "under_oom 0\noom_kill 2\n").unwrap();
    assert!(groups.ran_out_of_memory());
}

#[test]
fn groups_of_owners_that_are_gone_are_swept() {
    let base = tempfile::tempdir().unwrap();
    let alive = format!("backspace.{}.0", std::process::id());
    for name in [&alive, "backspace.4294967295.0", "backspace.main", "other.4294967295.0"] {
        fs::create_dir(base.path().join(name)).unwrap();
    }
    sweep(base.path());
    let mut left: Vec<_> = fs::read_dir(base.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [alive.as_str(), "backspace.main", "other.4294967295.0"]);
}
