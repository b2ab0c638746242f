//! The table that `--format csv` writes.

use std::fs::{read_to_string, write};

use tempfile::TempDir;

use super::super::assert_refused;
use super::{api, run};

#[test]
fn table_has_one_heading_and_a_row_for_each_order() {
    let (api, folder) = (api(), TempDir::new().unwrap());
    let output = run(&api, &folder, &["--from", "2026-01-01", "--format", "csv"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = read_to_string(folder.path().join("orders")).unwrap();
    let rows: Vec<_> = table.split_terminator("\r\n").collect();
    assert_eq!((rows.len(), rows.iter().filter(|row| row.starts_with("\"order_id\"")).count()), (1001, 1));
    let newest = r#""o-999","alice","pending","1.00","EUR","2026-01-01T00:16:39.000000Z","","","","0","#;
    assert!(rows[1].starts_with(newest), "{}", rows[1]);
}

#[test]
fn table_of_another_version_is_not_continued() {
    let (api, folder) = (api(), TempDir::new().unwrap());
    let state = folder.path().join("state");
    let arguments = ["--from", "2026-01-01", "--format", "csv", "--resume", state.to_str().unwrap()];
    run(&api, &folder, &arguments);
    write(&state, read_to_string(&state).unwrap().replace("\"is_complete\":true", "\"is_complete\":false")).unwrap();
    let table = read_to_string(folder.path().join("orders")).unwrap().replacen("\"metadata\"", "\"some_note\"", 1);
    write(folder.path().join("orders"), &table).unwrap();
    assert_refused(&run(&api, &folder, &arguments), "with other columns");
    assert_eq!(read_to_string(folder.path().join("orders")).unwrap(), table);
}
