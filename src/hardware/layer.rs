//! Profiles as layers: one laid over another, field by field and, in maps, key by key.

use crate::diagnostic::Place;
use crate::yaml::{Position, Source, Spanned};
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// A raw value that another profile can override.
pub trait Layer: Sized {
    /// Records which text the value stands in, so that a later message quotes the right file.
    fn stamp(&mut self, text: &Text);
    /// This value, with `base` wherever it says nothing.
    fn over(self, base: Self) -> Self;
}

/// The text that a layer was read from.
#[derive(Debug, Clone)]
pub struct Text {
    /// Its name and content.
    pub source: Source,
    /// Where every value of the layer stands, if they share one place (`--set path=value`).
    pub place: Option<Position>,
    /// The layer's own names of sources.
    pub citations: Named<Placed<String>>,
}

/// A value with the place where it stands.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    at: Position,
    source: Option<Source>,
}

impl<T> Placed<T> {
    /// Where it stands, with the line quoted.
    pub fn place(&self) -> Option<Place> {
        self.source.as_ref()?.place(self.at)
    }

    /// The name of its file or argument.
    pub fn file(&self) -> Option<&str> {
        self.source.as_ref().map(|s| s.name.as_ref())
    }

    /// Another value at the same place.
    pub fn with<U>(&self, value: U) -> Placed<U> {
        Placed { value, at: self.at, source: self.source.clone() }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(d)?;
        let at = Position::from(&spanned);
        Ok(Self { value: spanned.value, at, source: None })
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<T>()
    }
}

impl<T> Layer for Placed<T> {
    fn stamp(&mut self, text: &Text) {
        self.source = Some(text.source.clone());
        self.at = text.place.unwrap_or(self.at);
    }
    fn over(self, _base: Self) -> Self {
        self
    }
}

impl<T: Layer> Layer for Option<T> {
    fn stamp(&mut self, text: &Text) {
        if let Some(value) = self {
            value.stamp(text);
        }
    }
    fn over(self, base: Self) -> Self {
        match (self, base) {
            (Some(value), Some(base)) => Some(value.over(base)),
            (value, base) => value.or(base),
        }
    }
}

/// A map in written order: memory levels, prices, engines.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Named<T>(pub IndexMap<String, T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(IndexMap::new())
    }
}

impl<T: Layer> Layer for Named<T> {
    fn stamp(&mut self, text: &Text) {
        self.0.values_mut().for_each(|value| value.stamp(text));
    }

    /// The overlay's new keys come first: a new memory level is the innermost one.
    fn over(self, mut base: Self) -> Self {
        let mut merged = IndexMap::new();
        let mut known = IndexMap::new();
        for (key, value) in self.0 {
            let side = if base.0.contains_key(&key) { &mut known } else { &mut merged };
            side.insert(key, value);
        }
        for (key, value) in std::mem::take(&mut base.0) {
            let value = match known.swap_remove(&key) {
                Some(overlay) => overlay.over(value),
                None => value,
            };
            merged.insert(key, value);
        }
        Self(merged)
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        BTreeMap::<String, T>::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// Declares raw structs whose fields are all layers, and makes them layers too.
macro_rules! layers {
    ($($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl $crate::hardware::layer::Layer for $name {
            fn stamp(&mut self, text: &$crate::hardware::layer::Text) {
                $(self.$field.stamp(text);)*
            }
            fn over(self, base: Self) -> Self {
                Self { $($field: self.$field.over(base.$field),)* }
            }
        }
    )*};
}
pub(super) use layers;
