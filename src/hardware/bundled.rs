//! The profiles inside the binary.

use crate::diagnostic::Diagnostic;
use crate::yaml::Source;
use include_dir::{Dir, include_dir};

static PROFILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/hardware-profiles");

/// Every bundled id, sorted.
pub fn ids() -> Vec<&'static str> {
    let stems =
        PROFILES.files().filter_map(|f| f.path().file_name()?.to_str()?.strip_suffix(".yaml"));
    let mut ids: Vec<&str> = stems.collect();
    ids.sort_unstable();
    ids
}

/// The YAML text of a bundled profile; itself a [`super::Lookup`] for those who have no files.
///
/// # Errors
/// An unknown id, with the closest ones.
pub fn source(id: &str) -> Result<Source, Diagnostic> {
    let file = format!("{id}.yaml");
    let text = PROFILES.get_file(&file).and_then(|f| f.contents_utf8());
    match text {
        Some(text) => Ok(Source::new(format!("hardware-profiles/{file}"), text)),
        None => Err(Diagnostic::unknown("hardware", id, ids())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::{Compute, Format};
    use crate::hardware::{Fidelity, Hardware, Machine, load};
    use crate::provenance::Basis;
    use crate::units::{Bytes, BytesPerSecond, FlopsPerSecond};

    fn hardware(id: &str) -> Hardware {
        load(id, &source).unwrap_or_else(|e| panic!("{id}: {e}"))
    }

    fn teraflops(hardware: &Hardware, format: Format) -> Option<f64> {
        Some(hardware.matrix.get(&format)?.value / FlopsPerSecond::new(1e12))
    }

    fn gigabytes(hardware: &Hardware, level: &str) -> f64 {
        let bandwidth = hardware.level(level).and_then(|l| l.bandwidth.as_ref());
        bandwidth.expect("known").value / BytesPerSecond::new(1e9)
    }

    fn mebibytes(hardware: &Hardware, level: &str) -> f64 {
        hardware.level(level).and_then(|l| l.total_capacity()).expect("known")
            / Bytes::new(1024.0 * 1024.0)
    }

    #[test]
    fn all_profiles_load_and_are_named_like_their_files() {
        assert_eq!(ids().len(), 60);
        for id in ids() {
            let hardware = hardware(id);
            assert_eq!(hardware.id.as_ref(), id);
            for row in hardware.describe() {
                let cited = !row.citation.is_empty() && !row.citation.starts_with("set in");
                assert!(cited && row.citation.len() > 8, "{id} {row:?}");
                assert!(row.basis != Basis::Assumed || row.note.is_some(), "{id} {row:?}");
            }
            for fidelity in [Fidelity::Realistic, Fidelity::Ideal] {
                let machine = Machine::compile(&hardware, fidelity);
                assert_eq!(machine.levels[machine.dram].name.as_ref(), "dram");
                machine.matrix(Compute::Native16).unwrap_or_else(|e| panic!("{id}: {e}"));
            }
        }
    }

    #[test]
    fn figures_are_the_published_ones() {
        let a100 = hardware("a100-sxm-80gb");
        assert_eq!(teraflops(&a100, Format::Bf16), Some(312.0));
        assert_eq!(gigabytes(&a100, "dram"), 2039.0);
        assert_eq!(mebibytes(&a100, "dram"), 81_920.0);
        assert_eq!(mebibytes(&a100, "l2"), 40.0);
        assert_eq!(teraflops(&a100, Format::Fp8E4m3), None);
        let h100 = hardware("h100-sxm");
        assert_eq!(teraflops(&h100, Format::Bf16), Some(989.4));
        assert_eq!(teraflops(&h100, Format::Fp8E5m2), Some(1978.9));
        assert_eq!(gigabytes(&h100, "dram"), 3350.0);
        let mi300x = hardware("mi300x");
        assert_eq!(teraflops(&mi300x, Format::Bf16), Some(1307.4));
        assert_eq!(mebibytes(&mi300x, "l2"), 32.0);
        assert_eq!(mi300x.level("l2").map(|l| l.instances), Some(8));
        let pair = mi300x.links["scaleup"].pair_bandwidth.as_ref().map(|q| q.value);
        assert_eq!(pair, Some(BytesPerSecond::new(64e9)));
        let t4 = hardware("t4");
        assert_eq!(
            (teraflops(&t4, Format::Bf16), teraflops(&t4, Format::Fp16)),
            (None, Some(65.0))
        );
        assert_eq!(teraflops(&hardware("b300-sxm"), Format::Int8), Some(153.5));
        assert_eq!(teraflops(&hardware("gaudi3"), Format::Bf16), Some(1677.0));
        assert_eq!(teraflops(&hardware("rtx4090"), Format::Bf16), Some(165.2));
    }

    #[test]
    fn an_unknown_id_names_close_ones() {
        let error = load("a100-sxm-80g", &source).expect_err("refused").to_string();
        insta::assert_snapshot!(error, @"
        error: unknown hardware `a100-sxm-80g`
         = help: did you mean `a100-sxm-80gb` or `a100-sxm-40gb` or `a100-pcie-80gb`?
        ");
    }
}
