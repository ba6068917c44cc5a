//! The JSON Schemas that editors use are those of the types that read the files.

use std::path::Path;

fn held(name: &str, schema: &serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(name);
    let text = format!("{schema:#}\n");
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).expect("writable");
    }
    let committed = std::fs::read_to_string(&path).expect("committed");
    assert!(committed == text, "{name} is stale: UPDATE_SCHEMAS=1 cargo test schemas writes it");
}

#[test]
fn schemas_are_current() {
    held("hardware.json", &cosim::hardware::schema());
    held("scenario.json", &cosim::workload::schema());
    held("model.json", &cosim::model::schema());
    held("scheme.json", &cosim::dtype::schema());
}
