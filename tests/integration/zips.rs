//! The deployed zips: their size, and that their binaries run on Lambda.

use std::process::Command;

use tests::Stack;

const FUNCTIONS: [&str; 5] = ["ApiFunction", "ProcessorFunction", "SweeperFunction", "MigrateFunction", "SiteFunction"];

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn zips_are_at_most_four_megabytes() {
    let stack = Stack::running();
    for variable in ["API_FUNCTION", "PROCESSOR_FUNCTION", "SWEEPER_FUNCTION", "MIGRATE_FUNCTION", "SITE_FUNCTION"] {
        let asked = stack.lambda().get_function_configuration().function_name(stack.get(variable)).send();
        let size = asked.await.unwrap().code_size;
        assert!((500_000..=4 << 20).contains(&size), "{variable}: {size} bytes");
    }
}

/// What readelf prints about the binary of each function with this option.
fn read_binaries(option: &str) -> Vec<(&'static str, String)> {
    let read = |function| {
        let file = format!("../.aws-sam/build/{function}/bootstrap");
        let output = Command::new("readelf").args([option, &file]).output().expect("readelf is installed");
        (function, String::from_utf8_lossy(&output.stdout).into_owned())
    };
    FUNCTIONS.map(read).into()
}

#[test]
#[ignore = "needs the built functions: `make test` runs it"]
fn binaries_need_no_newer_glibc_than_amazon_linux_2023() {
    for (function, symbols) in read_binaries("--version-info") {
        let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
            let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            let (major, minor) = digits.split_once('.')?;
            Some((major.parse::<u32>().ok()?, minor.split('.').next()?.parse::<u32>().ok()?))
        });
        let newest = versions.max().expect("the binary names the versions it needs");
        assert!(newest <= (2, 34), "{function} needs glibc {newest:?}");
    }
}

#[test]
#[ignore = "needs the built functions: `make test` runs it"]
fn binaries_need_no_library_besides_glibc() {
    for (function, needed) in read_binaries("--dynamic") {
        let libraries: Vec<_> = needed.lines().filter(|line| line.contains("(NEEDED)")).collect();
        assert!(!libraries.is_empty(), "{function}: {needed}");
        for library in libraries {
            let of_glibc = ["libc.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux"];
            assert!(of_glibc.iter().any(|name| library.contains(name)), "{function}: {library}");
        }
    }
}

#[test]
#[ignore = "needs the built functions: `make test` runs it"]
fn pages_are_only_in_the_site_function() {
    for function in FUNCTIONS {
        let binary = std::fs::read(format!("../.aws-sam/build/{function}/bootstrap")).unwrap();
        let has_pages = binary.windows(20).any(|bytes| bytes == b"swagger-ui-bundle.js");
        assert_eq!(has_pages, function == "SiteFunction", "{function}");
    }
}
