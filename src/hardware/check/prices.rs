//! Prices: of an hour, or of the device.

use super::reader::Reader;
use crate::diagnostic::Diagnostic;
use crate::hardware::figure::Figure;
use crate::hardware::layer::Named;
use crate::hardware::price::Price;
use crate::units::Dollars;
use indexmap::IndexMap;
use std::sync::Arc;

/// `$` alone is a purchase, anything else must be a price per hour.
pub(super) fn read(
    reader: &mut Reader<'_>,
    raw: &Named<Figure>,
) -> Result<IndexMap<Arc<str>, Price>, Diagnostic> {
    let mut prices = IndexMap::new();
    for (name, figure) in &raw.0 {
        let path = format!("prices.{name}");
        let price = match figure.text().parse::<Dollars>() {
            Ok(_) => Price::Purchase(reader.figure(&path, figure)?),
            Err(_) => Price::Hourly(reader.figure(&path, figure)?),
        };
        prices.insert(name.as_str().into(), price);
    }
    Ok(prices)
}
