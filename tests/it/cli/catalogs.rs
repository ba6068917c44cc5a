//! `hardware` and `model`: what is bundled, and one's own.

use crate::support::{Desk, words};
use serde_json::Value;

fn ids(list: &Value) -> Vec<String> {
    let ids = list.as_array().expect("a list").iter();
    ids.map(|d| d["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn every_listed_device_shows_its_figures() {
    let desk = Desk::new();
    let devices = ids(&desk.json(&words("hardware list --json")));
    let table = desk.ok(&words("hardware list"));
    assert!(devices.len() > 40 && devices.is_sorted());
    for id in &devices {
        assert!(table.contains(id.as_str()));
        let rows = desk.json(&["hardware", "show", id, "--json"]);
        let rows = rows.as_array().expect("a list");
        assert!(rows.iter().any(|r| r["path"] == "memory.dram.bandwidth"), "{id}");
        for row in rows {
            assert!(row["citation"].as_str().is_some_and(|c| !c.is_empty()), "{id}: {row}");
        }
    }
    let shown = desk.ok(&words("hardware show a100-sxm-80gb"));
    assert!(shown.contains("memory.dram.bandwidth") && shown.contains("not modelled:"), "{shown}");
}

#[test]
fn a_good_profile_is_said_to_be_good() {
    let desk = Desk::with(&[("mine.yaml", "id: mine\nextends: h100-sxm\nname: Mine\n")]);
    let shown = desk.ok(&words("hardware check mine.yaml"));
    assert!(shown.starts_with("mine.yaml: Mine (mine) is a valid profile\n"), "{shown}");
}

#[test]
fn schemas_are_json() {
    for command in ["hardware schema", "model schema"] {
        let schema = Desk::new().json(&words(command));
        assert!(schema["properties"]["id"].is_object(), "{command}");
    }
}

#[test]
fn every_listed_model_shows_as_a_file_that_loads() {
    let desk = Desk::new();
    let list = desk.json(&words("model list --json"));
    let table = desk.ok(&words("model list"));
    for (id, model) in ids(&list).iter().zip(list.as_array().expect("a list")) {
        assert!(table.contains(id.as_str()));
        let shown = desk.ok(&["model", "show", id]);
        assert!(shown.contains(&format!("# {} parameters", model["parameters"])), "{id}");
        desk.write(&format!("{id}.yaml"), shown.as_bytes());
        assert_eq!(desk.ok(&["model", "show", &format!("{id}.yaml")]), shown, "{id}");
    }
}

#[test]
fn an_imported_config_is_a_model_to_estimate() {
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/configs");
    let mut names: Vec<String> = std::fs::read_dir(configs)
        .expect("fixtures")
        .map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    // Its file does not say that the head has a table of its own.
    names.retain(|name| name != "falcon-180b.json");
    assert!(names.len() >= 13);
    let desk = Desk::new();
    let case =
        words("estimate --json --hardware h200-sxm --batch 1 --prompt 64 --output 8 --model");
    for name in names {
        let config = format!("{configs}/{name}");
        let id = name.trim_end_matches(".json");
        let yaml = desk.ok(&["model", "import", &config, "--id", id]);
        let saved = format!("{id}.yaml");
        desk.write(&saved, yaml.as_bytes());
        assert_eq!(desk.ok(&["model", "import", &config, "--id", id]), yaml);
        let imported = desk.json(&[&case[..], &[&saved]].concat());
        assert_eq!(imported, desk.json(&[&case[..], &[id]].concat()), "{id}: bundled and imported");
    }
}
