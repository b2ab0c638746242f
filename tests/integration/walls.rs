//! The walls between the parts: which files may depend on which. A breach is named by its file. And the length of files and of tests' names.

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

/// The product's code, from this package.
const CODE: [&str; 3] = ["../functions", "../shared/src", "../cli/src"];

/// A text that only some files may contain.
struct Wall {
    /// The text. In comments it is allowed.
    text: &'static str,
    /// The beginnings of the paths that may contain it.
    inside: &'static [&'static str],
    /// How the rule reads.
    rule: &'static str,
}

const DATABASE: &[&str] = &["../shared/src/db"];

/// The files that name the Lambda runtime.
const RUNTIME: &[&str] =
    &["../functions", "../shared/src/gateway.rs", "../shared/src/lifecycle.rs", "../shared/src/telemetry"];

const WALLS: [Wall; 11] = [
    Wall { text: "SELECT ", inside: DATABASE, rule: "only shared/src/db speaks SQL" },
    Wall { text: "INSERT INTO ", inside: DATABASE, rule: "only shared/src/db speaks SQL" },
    Wall { text: "UPDATE ", inside: DATABASE, rule: "only shared/src/db speaks SQL" },
    Wall { text: "DELETE FROM ", inside: DATABASE, rule: "only shared/src/db speaks SQL" },
    Wall {
        text: "aws_sdk_sqs",
        inside: &["../shared/src/queue", "../cli/src/doctor"],
        rule: "only the queue's module and doctor call SQS",
    },
    Wall {
        text: "aws_sdk_eventbridge",
        inside: &["../shared/src/events.rs", "../cli/src/doctor"],
        rule: "only the bus's module and doctor call EventBridge",
    },
    Wall {
        text: "env::var",
        inside: &["../shared/src/config.rs", "../cli/src/main.rs", "../cli/src/output.rs"],
        rule: "only the start of a program reads the environment",
    },
    Wall { text: "lambda_runtime", inside: RUNTIME, rule: "the rest does not know the Lambda runtime" },
    Wall { text: "lambda_http", inside: RUNTIME, rule: "the rest does not know the Lambda runtime" },
    Wall { text: "use tests::", inside: &[], rule: "the product does not depend on its tests" },
    Wall { text: "thread::sleep", inside: &[], rule: "a wait is a delayed message or a timer, and blocks no thread" },
];

/// All code that has tests, from this package.
const TESTED: [&str; 4] = ["../functions", "../shared", "../cli", "."];

/// The most lines of code of a file whose header gives no reason for more.
const LONGEST_FILE: usize = 250;

/// The most characters of a test's name.
const LONGEST_NAME: usize = 60;

/// The Rust files below a folder, without the build results.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    files_of("rs", folder)
}

fn files_of(language: &str, folder: &Path) -> Vec<PathBuf> {
    let entries = read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| if path.is_dir() { files_of(language, &path) } else { vec![path] });
    below.filter(|path| path.extension().is_some_and(|extension| extension == language)).collect()
}

/// The lines of code: without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The breaches of a wall in a file.
fn breaches(path: &Path, text: &str) -> Vec<String> {
    let walls = WALLS.iter().filter(|wall| {
        let is_inside = wall.inside.iter().any(|start| path.to_string_lossy().starts_with(start));
        !is_inside && code(text).any(|line| line.contains(wall.text))
    });
    walls.map(|wall| format!("{}: {}, and {:?} is there", path.display(), wall.rule, wall.text)).collect()
}

#[test]
fn code_keeps_to_the_walls_between_the_parts() {
    let paths = CODE.iter().flat_map(|folder| files(Path::new(folder))).collect::<Vec<_>>();
    assert!(paths.len() > 100, "{paths:?}");
    let breaches: Vec<_> = paths.iter().flat_map(|path| breaches(path, &read_to_string(path).unwrap())).collect();
    assert_eq!(breaches, [""; 0]);
}

#[test]
fn domain_uses_nothing_else_of_the_product() {
    let domain = [files(Path::new("../shared/src/order")), vec!["../shared/src/order.rs".into()]].concat();
    for path in domain {
        let text = read_to_string(&path).unwrap();
        assert!(!code(&text).any(|line| line.contains("crate::")), "{} uses other modules", path.display());
    }
}

#[test]
fn neither_functions_nor_cli_depend_on_a_function() {
    let functions: Vec<_> = read_dir("../functions").unwrap().map(|entry| entry.unwrap().path()).collect();
    for package in functions.iter().chain([&PathBuf::from("../cli")]) {
        let manifest = read_to_string(package.join("Cargo.toml")).unwrap();
        let needs = |function: &PathBuf| {
            let name = function.file_name().unwrap().to_str().unwrap();
            let mut after_name = manifest.lines().filter_map(|line| line.strip_prefix(name));
            after_name.any(|rest| rest.trim_start().starts_with(['.', '=']))
        };
        assert!(manifest.contains("\nshared.workspace"), "{} does not name its dependencies so", package.display());
        assert!(!functions.iter().any(needs), "{} depends on a function", package.display());
    }
}

/// The names of the tests in a file of Rust or of Python.
fn tests_of(text: &str) -> Vec<&str> {
    let mut is_test = false;
    let names = text.lines().map(str::trim_start).filter_map(|line| {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let name = match line.split_once("fn ") {
            Some((_, name)) if is_test => name,
            _ => line.strip_prefix("def test_")?,
        };
        is_test = false;
        name.split('(').next()
    });
    names.collect()
}

#[test]
fn name_of_a_test_has_at_most_sixty_characters() {
    let paths = ["rs", "py"].map(|language| TESTED.map(|folder| files_of(language, Path::new(folder))).concat());
    for (paths, least) in paths.iter().zip([500, 20]) {
        let texts: Vec<_> = paths.iter().map(|path| read_to_string(path).unwrap()).collect();
        let names: Vec<_> = texts.iter().flat_map(|text| tests_of(text)).collect();
        assert!(names.len() > least, "{names:?}");
        let long: Vec<_> = names.into_iter().filter(|name| name.len() > LONGEST_NAME).collect();
        assert_eq!(long, [""; 0]);
    }
}

/// Whether a file has more lines of code than its header allows: a sentence there that contains "250 lines" is a reason for more.
fn is_too_long(text: &str) -> bool {
    let header = text.lines().take_while(|line| line.starts_with("//!"));
    let has_reason = header.map(|line| &line[3..]).collect::<String>().contains("250 lines");
    !has_reason && code(text).filter(|line| !line.trim().is_empty()).count() > LONGEST_FILE
}

#[test]
fn file_is_short_or_its_header_says_why_not() {
    let paths = TESTED.map(|folder| files(Path::new(folder))).concat();
    let too_long: Vec<_> = paths.iter().filter(|path| is_too_long(&read_to_string(path).unwrap())).collect();
    assert!(too_long.is_empty(), "{too_long:?}");
    let long = format!("\n{}", "let x = 1;\n\n// Why.\n".repeat(LONGEST_FILE + 1));
    assert!(is_too_long(&long) && !is_too_long(&long.replacen("let", "//", 1)));
    assert!(!is_too_long(&format!(
        "//! All of it.\n//! It has more than 250\n//! lines, because they are one table.{long}"
    )));
}

#[test]
fn test_is_found_by_its_attribute_or_its_prefix() {
    let rust = "#[tokio::test(start_paused = true)]\n#[ignore = \"a reason\"]\nasync fn one() {\nfn other() {\n#[test]\nfn two() {";
    assert_eq!(tests_of(rust), ["one", "two"]);
    assert_eq!(tests_of("def test_three(visit):\n    pass\n\ndef other():\n    pass"), ["three"]);
}

#[test]
fn breach_of_a_wall_is_noticed() {
    let path = Path::new("../functions/api/src/x.rs");
    assert_eq!(breaches(path, "// SELECT 1 is a statement\nlet rows = query(\"INSERT INTO orders\");").len(), 1);
    assert_eq!(breaches(Path::new("../shared/src/db/x.rs"), "\"SELECT 1\""), [""; 0]);
}
