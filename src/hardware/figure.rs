//! A quoted figure as written: `{value, basis, cite, note}`, a short `4 TB/s`, or a factor `x2`.

use super::layer::{Layer, Named, Placed, Text};
use crate::diagnostic::{Diagnostic, Place, clip};
use crate::provenance::{Basis, Quoted};
use crate::units::Quantity;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A figure whose dimension is not known yet: its field decides that when the profile is checked.
#[derive(Debug, Clone)]
pub struct Figure {
    body: Placed<Body>,
    /// Factors of overlays, first applied first.
    factors: Vec<Placed<Body>>,
}

#[derive(Debug, Clone)]
struct Body {
    text: String,
    basis: Option<Basis>,
    cite: Option<String>,
    note: Option<String>,
}

/// Figures in SI units, yocto to yotta: within it no time, energy or price of a request overflows.
const RANGE: std::ops::RangeInclusive<f64> = 1e-24..=1e24;

/// `x2`, `x0.5`: the multiplier of a factor, if the text is one.
fn factor(text: &str) -> Option<Result<f64, String>> {
    let rest = text.trim().strip_prefix(['x', 'X'])?.trim();
    let value = rest.parse::<f64>().ok().filter(|k| k.is_finite() && *k > 0.0);
    Some(value.ok_or_else(|| format!("`{}` is not a factor above zero", clip(text))))
}

impl Figure {
    /// Where the last word on the figure stands.
    pub fn place(&self) -> Option<Place> {
        self.factors.last().unwrap_or(&self.body).place()
    }

    /// The figure as a quantity; `citations` resolves the names that `cite` uses.
    ///
    /// # Errors
    /// A unit of another dimension, zero, or a factor without anything to multiply.
    pub fn read<T>(
        &self,
        path: &str,
        citations: &Named<Placed<String>>,
    ) -> Result<Quoted<T>, Diagnostic>
    where
        T: Quantity + FromStr,
        T::Err: fmt::Display,
    {
        let body = &self.body.value;
        let refuse =
            |message: String| Diagnostic::new(format!("{path}: {message}")).at(self.body.place());
        if let Some(times) = factor(&body.text) {
            let nothing = |_| format!("`{}` has nothing to multiply", clip(&body.text));
            let message = times.map_or_else(|e| e, nothing);
            return Err(refuse(message).hint("factors change the figure of a profile below"));
        }
        let value: T = body.text.parse().map_err(|e: T::Err| refuse(e.to_string()))?;
        let mut quoted = Quoted {
            value,
            basis: body.basis.unwrap_or(Basis::Assumed),
            citation: self.citation(citations),
            note: body.note.as_deref().map(Arc::from),
        };
        for step in &self.factors {
            let text = step.value.text.trim();
            let times = factor(text)
                .unwrap_or_else(|| Err(format!("`{}` is not a factor", clip(text))))
                .map_err(|e| Diagnostic::new(format!("{path}: {e}")).at(step.place()))?;
            quoted.value = T::from_si(quoted.value.si() * times);
            quoted.basis = Basis::Assumed;
            quoted.citation = format!("{text} of {}", quoted.citation).into();
            quoted.note = step.value.note.as_deref().map(Arc::from).or(quoted.note);
        }
        if quoted.value.si() <= 0.0 {
            let error = Diagnostic::new(format!("{path} is zero"));
            return Err(error.at(self.place()).hint("leave an unknown figure out"));
        }
        if !RANGE.contains(&quoted.value.si()) {
            let message =
                format!("{path} is {:e} in SI units, beyond 1e-24 to 1e24", quoted.value.si());
            let hint = "is a prefix, an exponent or a factor wrong?";
            return Err(Diagnostic::new(message).at(self.place()).hint(hint));
        }
        Ok(quoted)
    }

    /// The unit part's text, which tells a price per hour from a price.
    pub fn text(&self) -> &str {
        &self.body.value.text
    }

    /// The value as the profile writes it; computed where factors changed it.
    pub fn shown(&self, value: &impl fmt::Display) -> String {
        if self.factors.is_empty() { self.text().trim().to_owned() } else { value.to_string() }
    }

    fn citation(&self, citations: &Named<Placed<String>>) -> Arc<str> {
        match &self.body.value.cite {
            Some(cite) => match citations.0.get(cite) {
                Some(named) => named.value.as_str().into(),
                None => cite.as_str().into(),
            },
            None => format!("set in {}", self.body.file().unwrap_or("the profile")).into(),
        }
    }
}

impl Layer for Figure {
    /// A citation's name becomes its text now, before another layer can give the name a new one.
    fn stamp(&mut self, text: &Text) {
        self.body.stamp(text);
        let cite = &mut self.body.value.cite;
        if let Some(named) = cite.as_ref().and_then(|c| text.citations.0.get(c)) {
            *cite = Some(named.value.clone());
        }
    }

    fn over(mut self, mut base: Self) -> Self {
        if factor(&self.body.value.text).is_none() {
            return self;
        }
        base.factors.push(self.body);
        base.factors.append(&mut self.factors);
        base
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self { body: Placed::<Body>::deserialize(d)?, factors: vec![] })
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(BodyVisitor)
    }
}

struct BodyVisitor;

const FIELDS: &[&str] = &["value", "basis", "cite", "note"];

/// The text of a figure; a bare number is its text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ScalarVisitor).map(Self)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity such as `4 TB/s`")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a quantity such as `4 TB/s`, a factor such as `x2`, or {value, basis, cite, note}",
        )
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Body, E> {
        Ok(Body { text: text.to_owned(), basis: None, cite: None, note: None })
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Body, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Body, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Body, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
        let (mut text, mut basis, mut cite, mut note) = (None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "value" => text = Some(map.next_value::<Scalar>()?.0),
                "basis" => basis = Some(map.next_value::<Basis>()?),
                "cite" => cite = Some(map.next_value::<String>()?),
                "note" => note = Some(map.next_value::<String>()?),
                other => return Err(A::Error::unknown_field(other, FIELDS)),
            }
        }
        let text = text.ok_or_else(|| A::Error::missing_field("value"))?;
        Ok(Body { text, basis, cite, note })
    }
}

impl schemars::JsonSchema for Figure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Figure".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let basis = generator.subschema_for::<Basis>();
        schemars::json_schema!({
            "description": "A quantity with its unit: short (`4 TB/s`, or `x2` of the base profile's figure), or long with its source.",
            "oneOf": [
                { "type": ["string", "number"] },
                {
                    "type": "object",
                    "properties": {
                        "value": { "type": ["string", "number"], "description": "`2039 GB/s`, `80 GiB`, `x2`, `0.85`" },
                        "basis": basis,
                        "cite": { "type": "string", "description": "a key of `citations`, or free text" },
                        "note": { "type": "string" }
                    },
                    "required": ["value"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
