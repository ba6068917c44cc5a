//! The models in the binary: `workloads/models/*.yaml`, by id.

use crate::yaml::Source;
use include_dir::{Dir, include_dir};

static MODELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/workloads/models");

/// Ids of the bundled models, in alphabetical order.
pub fn ids() -> impl Iterator<Item = &'static str> {
    let mut ids: Vec<&str> = MODELS
        .files()
        .filter_map(|f| f.path().file_name()?.to_str()?.strip_suffix(".yaml"))
        .collect();
    ids.sort_unstable();
    ids.into_iter()
}

/// The YAML text of a bundled model; `None` where no such id is bundled.
pub fn source(id: &str) -> Option<Source> {
    let name = format!("{id}.yaml");
    let text = MODELS.get_file(&name)?.contents_utf8()?;
    Some(Source::new(format!("workloads/models/{name}"), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;

    const SCHEMA_LINE: &str = "# yaml-language-server: $schema=../../docs/schema/model.json\n";

    #[test]
    fn every_file_reads_and_is_named_by_its_id() {
        for id in ids() {
            let source = source(id).expect("listed");
            assert!(source.text.starts_with(SCHEMA_LINE), "{id}");
            let model = Architecture::from_yaml(&source).unwrap_or_else(|e| panic!("{id}: {e}"));
            assert_eq!(model.id, id);
        }
    }

    #[test]
    fn yaml_reads_back_equal() {
        for id in ids() {
            let model = Architecture::from_yaml(&source(id).expect("listed")).expect("reads");
            let text = model.to_yaml();
            let again = Architecture::from_yaml(&Source::new("printed", text.as_str()));
            assert_eq!(again.unwrap_or_else(|e| panic!("{e}\n{text}")), model);
        }
    }
}
