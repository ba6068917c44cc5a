//! Links: each has a bandwidth.

use super::reader::{Reader, count, text};
use crate::diagnostic::Diagnostic;
use crate::hardware::layer::{Named, Placed};
use crate::hardware::profile::Link;
use crate::hardware::raw::RawLink;
use crate::hardware::topology::Topology;
use indexmap::IndexMap;
use std::sync::Arc;

pub(super) fn read(
    reader: &mut Reader<'_>,
    raw: &Named<RawLink>,
) -> Result<IndexMap<Arc<str>, Link>, Diagnostic> {
    let mut links = IndexMap::new();
    for (name, link) in &raw.0 {
        let path = |field: &str| format!("links.{name}.{field}");
        let Some(bandwidth) = &link.bandwidth else {
            let error = Diagnostic::new(format!("{} is missing", path("bandwidth")));
            return Err(error.hint("give the rate of one direction, for instance `450 GB/s`"));
        };
        let link = Link {
            kind: text(&link.kind),
            bandwidth: reader.figure(&path("bandwidth"), bandwidth)?,
            pair_bandwidth: reader
                .optional(&path("pair_bandwidth"), link.pair_bandwidth.as_ref())?,
            startup: reader.optional(&path("startup"), link.startup.as_ref())?,
            latency: reader.optional(&path("latency"), link.latency.as_ref())?,
            topology: topology(&path("topology"), link.topology.as_ref())?,
            domain: count(&path("domain"), link.domain.as_ref())?,
        };
        links.insert(name.as_str().into(), link);
    }
    Ok(links)
}

fn topology(path: &str, raw: Option<&Placed<String>>) -> Result<Topology, Diagnostic> {
    let Some(written) = raw else { return Ok(Topology::default()) };
    written.value.parse().map_err(|mut error: Diagnostic| {
        error.message = format!("{path}: {}", error.message);
        error.at(written.place())
    })
}
