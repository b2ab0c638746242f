//! `export` writes each order of its span once, even if it is interrupted.

mod tables;

use std::fs::{metadata, read, read_to_string, remove_file, write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::api::{Api, Manner};
use super::ending::{at, send, wait_until};
use super::{assert_refused, json, text};

/// A thousand orders, one a second from the first second of 2026 on.
fn api() -> Api {
    let api = Api::start(Manner::Sound);
    for number in 0..1000 {
        let created_at = format!("2026-01-01T00:{:02}:{:02}.000000Z", number / 60, number % 60);
        api.add_created(&format!("o-{number}"), &created_at);
    }
    api
}

/// The command for an export into this folder, at its default rate.
fn export(api: &Api, folder: &TempDir, arguments: &[&str]) -> Command {
    let file = folder.path().join("orders").display().to_string();
    at(api, &[&["export", "--json", "--file", &file], arguments].concat())
}

fn run(api: &Api, folder: &TempDir, arguments: &[&str]) -> Output {
    export(api, folder, arguments).args(["--rate", "1000"]).output().unwrap()
}

/// The ids in the file, and a check of the report against it.
fn exported(folder: &TempDir, report: &Value) -> Vec<String> {
    let bytes = read(folder.path().join("orders")).unwrap();
    let sums = Command::new("sha256sum").arg(folder.path().join("orders")).output().unwrap();
    let digest = text(&sums.stdout).split(' ').next().unwrap();
    let id = |line| serde_json::from_str::<Value>(line).unwrap()["order_id"].as_str().unwrap().to_owned();
    let ids: Vec<_> = text(&bytes).lines().map(id).collect();
    let expected = (&report["sha256"], &report["bytes"], &report["orders"]);
    assert_eq!(expected, (&digest.into(), &bytes.len().into(), &ids.len().into()));
    ids
}

fn newest_first(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.rev().map(|number| format!("o-{number}")).collect()
}

#[test]
fn span_is_exported_newest_first_with_its_checksum() {
    let (api, folder) = (api(), TempDir::new().unwrap());
    let output = run(&api, &folder, &["--from", "2026-01-01T00:05:00Z", "--to", "2026-01-01T01:10:00+01:00"]);
    let report = json(&output);
    assert_eq!((output.status.code(), &report["complete"]), (Some(0), &true.into()), "{output:?}");
    assert_eq!(exported(&folder, &report), newest_first(300..600));
    assert_eq!(api.calls("/orders?"), 2, "orders outside the span are not read");
}

#[test]
fn interrupted_export_is_resumed_without_a_gap_or_a_repeat() {
    let (api, folder) = (api(), TempDir::new().unwrap());
    let state = folder.path().join("state").display().to_string();
    let arguments = ["--from", "2026-01-01", "--resume", &state];
    for pages in [1, 3] {
        let child = export(&api, &folder, &arguments).args(["--rate", "2"]).spawn().unwrap();
        wait_until(&format!("page {pages}"), || api.calls("/orders?") >= pages);
        if pages > 1 {
            let second = run(&api, &folder, &arguments);
            assert_refused(&second, "another run");
        }
        send(&child, Signal::INT);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &json(&output)["complete"]), (Some(130), &false.into()));
    }
    for file in [&folder.path().join("orders").display().to_string(), &state] {
        assert_eq!(metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    // A page that a crash has cut.
    let mut file = read(folder.path().join("orders")).unwrap();
    file.extend(b"{\"order_id\":\"o-4");
    write(folder.path().join("orders"), file).unwrap();
    let before = read_to_string(&state).unwrap();
    let output = run(&api, &folder, &arguments);
    let resumed = json(&output);
    assert_eq!(output.status.code(), Some(0), "{before} {output:?}");
    assert_eq!(exported(&folder, &resumed), newest_first(0..1000));
    let calls = api.calls("/orders?");
    assert_eq!(json(&run(&api, &folder, &arguments)), resumed, "a complete export is only reported");
    assert_eq!(api.calls("/orders?"), calls);
}

#[test]
fn export_that_writes_nothing_leaves_no_file() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state").display().to_string();
    for resume in [&[][..], &["--resume", &state]] {
        let output = run(&Api::start(Manner::HealthyBut(403)), &folder, &[&["--from", "2026-01-01"], resume].concat());
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let left: Vec<_> = folder.path().read_dir().unwrap().collect();
        assert!(left.is_empty(), "{resume:?}: {left:?}");
    }
    // An empty span has a complete export: an empty file.
    let output = run(&api(), &folder, &["--from", "2025-01-01", "--to", "2025-02-01"]);
    assert_eq!((output.status.code(), read(folder.path().join("orders")).unwrap()), (Some(0), Vec::new()));
}

#[test]
fn export_overwrites_no_file_and_resumes_no_other_export() {
    let (api, folder) = (api(), TempDir::new().unwrap());
    let state = folder.path().join("state").display().to_string();
    assert_eq!(run(&api, &folder, &["--from", "2026-01-01", "--resume", &state]).status.code(), Some(0));
    let whole = read(folder.path().join("orders")).unwrap();
    for (arguments, complaint) in [
        (&["--from", "2026-01-01"][..], "exists; name a new file"),
        (&["--from", "2026-01-02", "--resume", &state], "belongs to an export with another"),
        (&["--from", "2026-01-01", "--to", "2026-01-02", "--resume", &state], "belongs to an export with another"),
        (&["--from", "2026-01-01", "--format", "csv", "--resume", &state], "belongs to an export with another"),
        (
            &["--from", "2026-01-01", "--token", "e30.eyJzdWIiOiJhbGljZSJ9.e30", "--resume", &state],
            "of another user's orders",
        ),
        (&["--from", "2026-01-02", "--to", "2026-01-01"], "--from must be before --to"),
        (&["--from", "9999-01-01"], "--from must be before --to, which is now by default"),
    ] {
        assert_refused(&run(&api, &folder, arguments), complaint);
    }
    assert_eq!(read(folder.path().join("orders")).unwrap(), whole);
    let stored = read_to_string(&state).unwrap();
    // A crash before the first page leaves this position.
    let mut begun: Value = serde_json::from_str(&stored).unwrap();
    begun["bytes"] = 0.into();
    begun["sha256"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into();
    for (content, position, complaint) in [
        (&whole[..100], &stored, "is shorter"),
        (&[b"kept", &*whole].concat(), &stored, "is not the file"),
        (b"kept", &begun.to_string(), "is not the file"),
        (&whole, &stored.replace("sha256", "of_another_version"), "is no position of this version"),
    ] {
        write(folder.path().join("orders"), content).unwrap();
        write(&state, position).unwrap();
        assert_refused(&run(&api, &folder, &["--from", "2026-01-01", "--resume", &state]), complaint);
        assert_eq!(read(folder.path().join("orders")).unwrap(), content);
    }
}

#[test]
fn position_replaces_no_other_file_beside_it() {
    let (api, folder) = (api(), TempDir::new().unwrap());
    let [state, new, kept] = ["state", "state.new", "kept"].map(|name| folder.path().join(name));
    let arguments = ["--from", "2026-01-01", "--resume", state.to_str().unwrap()];
    assert_eq!(run(&api, &folder, &arguments).status.code(), Some(0));
    let stored = read_to_string(&state).unwrap();
    // An export that is killed while it stores its position leaves one of these.
    for left in ["", &stored] {
        write(&new, left).unwrap();
        let output = run(&api, &folder, &arguments);
        assert!(output.status.code() == Some(0) && !new.exists(), "{left}: {output:?}");
    }
    let refused = || assert_refused(&run(&api, &folder, &arguments), "name another --resume");
    let of_another = stored.replace("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    for content in ["kept", &of_another] {
        write(&new, content).unwrap();
        refused();
        assert_eq!(read_to_string(&new).unwrap(), content);
    }
    for content in ["", &stored] {
        remove_file(&new).unwrap();
        write(&kept, content).unwrap();
        symlink(&kept, &new).unwrap();
        refused();
        assert!(new.is_symlink() && read_to_string(&kept).unwrap() == content);
    }
    remove_file(&state).unwrap();
    remove_file(folder.path().join("orders")).unwrap();
    refused();
    assert!(!folder.path().join("orders").exists(), "a refused export begins no file");
}

/// The shell bounds the size of a file, as a full disk does.
#[test]
fn page_that_can_not_be_written_is_neither_counted_nor_left() {
    let (api, folder) = (api(), TempDir::new().unwrap());
    let export = export(&api, &folder, &["--from", "2026-01-01"]);
    let mut bounded = Command::new("bash");
    bounded
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(export.get_program())
        .args(export.get_args());
    let output = bounded.env("ORDERMILL_URL", api.url()).env("ORDERMILL_TOKEN", "a.e30.b").output().unwrap();
    assert!(output.status.code() == Some(1) && text(&output.stderr).contains("can't be written"), "{output:?}");
    assert_eq!(exported(&folder, &json(&output)), newest_first(800..1000));
}

#[test]
fn export_refuses_one_file_for_orders_and_position() {
    let (api, folder) = (api(), TempDir::new().unwrap());
    symlink("orders", folder.path().join("link")).unwrap();
    let refused = |file: &str, state: &str| {
        let mut command = at(&api, &["export", "--from", "2026-01-01", "--file", file, "--resume", state]);
        assert_refused(&command.current_dir(folder.path()).output().unwrap(), "in the file of --file");
    };
    let absolute = folder.path().join("orders").display().to_string();
    for (file, state) in [
        ("orders", "orders"),
        ("orders", "./orders"),
        (&absolute, "orders"),
        ("orders", "link"),
        ("orders.new", "orders"),
    ] {
        refused(file, state);
        assert!(!folder.path().join("orders").exists() && !folder.path().join("orders.new").exists(), "{file} {state}");
    }
    write(folder.path().join("orders"), "kept").unwrap();
    std::fs::hard_link(folder.path().join("orders"), folder.path().join("second")).unwrap();
    for state in ["orders", "link", "second"] {
        refused("orders", state);
        assert_eq!(read_to_string(folder.path().join("orders")).unwrap(), "kept");
    }
    assert_eq!(api.calls("/orders"), 0);
}

#[test]
fn export_to_standard_output_reports_on_standard_error() {
    let api = api();
    let output = at(&api, &["export", "--from", "2026-01-01T00:16:38Z"]).output().unwrap();
    assert_eq!(text(&output.stdout).lines().count(), 2, "{output:?}");
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("2 orders, ") && !stderr.contains('\x1b'), "{output:?}");
}

#[test]
fn export_keeps_its_rate() {
    let (api, folder) = (api(), TempDir::new().unwrap());
    let begun = Instant::now();
    let output = export(&api, &folder, &["--from", "2026-01-01", "--rate", "10"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(begun.elapsed() >= Duration::from_millis(400), "five calls at ten a second took {:?}", begun.elapsed());
}
