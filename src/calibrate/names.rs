//! The profile that a table's name of a device means.

/// Names of published tables that are not ids with other separators.
const ALIASES: &[(&str, &str)] = &[
    ("a100_sxm", "a100-sxm-80gb"),
    ("vidur_a100", "a100-sxm-80gb"),
    ("vidur_h100", "h100-sxm"),
    ("vidur_a40", "a40"),
    ("lss_rtx4090", "rtx4090"),
    ("lss_rtxpro6000", "rtx-pro-6000-server"),
    ("rtx_pro_6000", "rtx-pro-6000-server"),
];

/// The id among `ids` that a name means: itself, a known alias, or the name with hyphens, alone or followed by
/// the only form factor there is.
pub fn hardware_of<'a>(name: &str, ids: &[&'a str]) -> Option<&'a str> {
    let alias = ALIASES.iter().find(|(known, _)| *known == name).map(|(_, id)| *id);
    let plain = alias.unwrap_or(name).to_ascii_lowercase().replace(['_', ' '], "-");
    if let Some(id) = ids.iter().find(|id| **id == plain) {
        return Some(id);
    }
    let start = format!("{plain}-");
    let mut longer = ids.iter().filter(|id| id.starts_with(&start));
    longer.next().filter(|_| longer.next().is_none()).copied()
}

#[cfg(test)]
mod tests {
    use super::hardware_of;

    #[test]
    fn tables_names_are_found_where_they_mean_one_device() {
        let ids = ["a100-sxm-40gb", "a100-sxm-80gb", "h100-sxm", "h200-sxm", "l40s", "rtx4090"];
        assert_eq!(hardware_of("h200_sxm", &ids), Some("h200-sxm"));
        assert_eq!(hardware_of("H200", &ids), Some("h200-sxm"));
        assert_eq!(hardware_of("a100_sxm", &ids), Some("a100-sxm-80gb"));
        assert_eq!(hardware_of("a100", &ids), None);
        assert_eq!(hardware_of("l40s", &ids), Some("l40s"));
    }
}
