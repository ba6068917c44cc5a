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
    ("H100 SXM 80GB", "h100-sxm"),
];

/// Names of published models that are not ids with other separators.
const MODELS: &[(&str, &str)] = &[
    ("LLaMA 7B", "llama-2-7b"),
    ("LLaMA-7B v2", "llama-2-7b"),
    ("LLaMA 13B", "llama-2-13b"),
    ("LLaMA 70B", "llama-2-70b"),
];

/// The model among `ids` that a name means: itself, a known alias, or the name with hyphens.
pub(super) fn model_of<'a>(name: &str, ids: &[&'a str]) -> Option<&'a str> {
    let alias = MODELS.iter().find(|(known, _)| *known == name).map(|(_, id)| *id);
    let plain =
        alias.unwrap_or_else(|| without_cores(name)).to_ascii_lowercase().replace(['_', ' '], "-");
    ids.iter().find(|id| **id == plain).copied()
}

/// A name without its count of cores and what follows: `M1 Pro 14c GPU 200GB/s` is an M1 Pro.
fn without_cores(name: &str) -> &str {
    let cores = |word: &str| word.strip_suffix('c').is_some_and(|n| n.parse::<u64>().is_ok());
    let counted = name.split(' ').find(|word| cores(word));
    counted.and_then(|word| name.split_once(word)).map_or(name, |(start, _)| start.trim_end())
}

/// The id among `ids` that a name means: itself, a known alias, or the name with hyphens or without them, alone,
/// before the only form factor there is, or behind the only family.
pub fn hardware_of<'a>(name: &str, ids: &[&'a str]) -> Option<&'a str> {
    let alias = ALIASES.iter().find(|(known, _)| *known == name).map(|(_, id)| *id);
    let plain =
        alias.unwrap_or_else(|| without_cores(name)).to_ascii_lowercase().replace(['_', ' '], "-");
    if let Some(id) = ids.iter().find(|id| **id == plain) {
        return Some(id);
    }
    let (start, end) = (format!("{plain}-"), format!("-{plain}"));
    let only = |means: &dyn Fn(&str) -> bool| {
        let mut meant = ids.iter().filter(|id| means(id));
        meant.next().filter(|_| meant.next().is_none()).copied()
    };
    // `server` or `64` alone names no model.
    let of_model = [|c: char| c.is_ascii_digit(), |c: char| c.is_ascii_alphabetic()];
    let of_model = of_model.iter().all(|is| plain.chars().any(is));
    only(&|id| id.replace('-', "") == plain.replace('-', ""))
        .or_else(|| only(&|id| id.starts_with(&start)))
        .or_else(|| only(&|id| of_model && id.ends_with(&end)))
}

#[cfg(test)]
mod tests {
    use super::{hardware_of, model_of};

    #[test]
    fn tables_names_are_found_where_they_mean_one_device() {
        let ids = ["a100-sxm-40gb", "a100-sxm-80gb", "h100-sxm", "h200-sxm", "l40s", "rtx4090"];
        assert_eq!(hardware_of("h200_sxm", &ids), Some("h200-sxm"));
        assert_eq!(hardware_of("H200", &ids), Some("h200-sxm"));
        assert_eq!(hardware_of("a100_sxm", &ids), Some("a100-sxm-80gb"));
        assert_eq!(hardware_of("a100", &ids), None);
        assert_eq!(hardware_of("RTX 4090", &ids), Some("rtx4090"));
        let cards = ["arc-b580", "arc-pro-b60", "h100-pcie", "a100-pcie"];
        assert_eq!(hardware_of("b60", &cards), Some("arc-pro-b60"));
        assert_eq!(hardware_of("pcie", &cards), None);
        assert_eq!(hardware_of("server", &["rtx-pro-6000-server"]), None);
        assert_eq!(hardware_of("64", &["jetson-agx-orin-64"]), None);
        assert_eq!(
            hardware_of("M1 Pro 14c GPU 200GB/s", &["m1", "m1-pro", "m1-max"]),
            Some("m1-pro")
        );
        assert_eq!(hardware_of("M1 8c GPU 68GB/s", &["m1", "m1-pro", "m1-max"]), Some("m1"));
        assert_eq!(hardware_of("A100 SXM 80GB", &ids), Some("a100-sxm-80gb"));
        assert_eq!(hardware_of("H100 SXM 80GB", &ids), Some("h100-sxm"));
        let models = ["gpt-j-6b", "llama-2-7b"];
        assert_eq!(model_of("GPT-J 6B", &models), Some("gpt-j-6b"));
        assert_eq!(model_of("LLaMA-7B v2", &models), Some("llama-2-7b"));
        assert_eq!(hardware_of("l40s", &ids), Some("l40s"));
    }
}
