//! What is said of servers.

use std::time::Duration;

use blockstore::serve::nbd::{NbdExport, NbdReport, NbdServer};
use serde::Serialize;

use super::ProblemList;
use crate::progress::Problems;

/// `serve nbd`, once clients can connect.
#[derive(Debug, Serialize)]
pub(crate) struct ListeningLine {
    #[serde(rename = "type")]
    line_type: &'static str,
    exports: Vec<ExportInfo>,
}

#[derive(Debug, Serialize)]
struct ExportInfo {
    name: String,
    url: String,
    description: String,
    bytes: u64,
    bitmaps: Vec<String>,
}

/// `serve nbd`, once it has ended.
#[derive(Debug, Serialize)]
pub(crate) struct ServeSummary {
    #[serde(rename = "type")]
    line_type: &'static str,
    connections: u64,
    refused: u64,
    requests: u64,
    read_bytes: u64,
    written_bytes: u64,
    #[serde(flatten)]
    problems: ProblemList,
    seconds: f64,
}

impl ListeningLine {
    pub(crate) fn of(server: &NbdServer) -> Self {
        let info = |export: &NbdExport| ExportInfo {
            name: export.name.clone(),
            url: server.address().url(&export.name),
            description: export.description.clone(),
            bytes: export.view().len(),
            bitmaps: export
                .bitmaps
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
        };
        Self {
            line_type: "listening",
            exports: server.exports().iter().map(info).collect(),
        }
    }
}

impl ServeSummary {
    pub(crate) fn of(report: &NbdReport, problems: &Problems, took: Duration) -> Self {
        Self {
            line_type: "summary",
            connections: report.connections,
            refused: report.refused,
            requests: report.requests,
            read_bytes: report.bytes_read,
            written_bytes: report.bytes_written,
            problems: ProblemList::of(problems, report.problems),
            seconds: took.as_secs_f64(),
        }
    }
}
