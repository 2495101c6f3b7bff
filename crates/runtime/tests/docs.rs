//! Pages made from the code, or promised by it, are there and up to date.

use std::{collections::BTreeSet, fs, path::PathBuf};

use model::ErrorCode;
use runtime::metrics::{self, Metric};

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_page_of_metrics_is_up_to_date_and_lists_each() {
    let page = fs::read_to_string(docs().join("metrics.md")).unwrap();
    for metric in Metric::ALL {
        assert!(page.contains(&format!("| `{}` |", metric.name())), "{} is missing", metric.name());
    }
    assert_eq!(page, metrics::markdown(), "stale: run the ignored test `write_docs`");
}

#[test]
#[ignore = "writes docs/metrics.md"]
fn write_docs() {
    fs::write(docs().join("metrics.md"), metrics::markdown()).unwrap();
}

#[test]
fn each_error_code_has_its_page_and_no_other_page_exists() {
    let folder = docs().join("errors");
    let pages: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    let expected: BTreeSet<String> = ErrorCode::ALL.iter().map(|code| format!("{code}.md")).collect();
    assert_eq!(pages, expected);
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    for code in ErrorCode::ALL {
        let page = fs::read_to_string(folder.join(format!("{code}.md"))).unwrap();
        let grpc = format!("{:?}", tonic::Code::from_i32(code.grpc_code()));
        let screaming = screaming_snake(&grpc);
        let line =
            format!("| [`{code}`]({code}.md) | {} | `{screaming}` | {} |", code.http_status(), code.title());
        assert!(index.contains(&line), "the index lacks: {line}");
        assert!(page.starts_with(&format!("# `{code}`: {}\n", code.title())), "title of {code}.md");
        let form = format!("HTTP {} · gRPC `{screaming}`", code.http_status());
        assert!(page.contains(&form), "{code}.md lacks: {form}");
        for part in ["## What it means", "## Causes", "## What to do"] {
            assert!(page.contains(part), "{code}.md lacks {part}");
        }
    }
}

fn screaming_snake(camel: &str) -> String {
    camel.chars().enumerate().fold(String::new(), |mut out, (at, c)| {
        if at > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
        out
    })
}
