//! Small serde helpers that several message types share.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::CacheScope;
use crate::jsonrpc::Raw;

/// Integers beyond this cannot be told apart in an `f64`, so larger ones stay in floating notation: 2^53.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether a flag is off, for fields that are left out then.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
pub(super) fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Reads `null` like an absent field.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads for how long a result may be kept: what is no number, or less than nothing, is stale at once, as the
/// [specification](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#time-to-live-ttl-field)
/// asks of clients.
pub(super) fn ttl<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast ends at 0 and at the largest integer, as is wanted"
    )]
    let rounded = |raw: &Raw| raw.parse::<f64>().map_or(0, |ttl| ttl as u64);
    let raw = Option::<Raw>::deserialize(deserializer)?;
    Ok(raw.map(|raw| raw.parse::<u64>().unwrap_or_else(|_| rounded(&raw))))
}

/// Reads who may keep a result: what is not known here is the caller alone.
pub(super) fn scope<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<CacheScope>, D::Error> {
    let raw = Option::<Raw>::deserialize(deserializer)?;
    Ok(raw.map(|raw| raw.parse().unwrap_or_default()))
}

/// A number written as an integer when it is one, because some peers read `1.0` and `1` differently.
pub(super) mod number {
    use super::{Deserialize, Deserializer, MAX_EXACT, Serializer};
    use serde::ser::Error as _;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
    pub(in crate::model) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if !value.is_finite() {
            return Err(S::Error::custom("JSON has no infinite or undefined numbers: send a finite one"));
        }
        if value.fract() == 0.0 && value.abs() <= MAX_EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53: exact")]
            return serializer.serialize_i64(*value as i64);
        }
        serializer.serialize_f64(*value)
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        f64::deserialize(deserializer)
    }
}

/// [`number`] for a field that may be absent.
pub(super) mod maybe_number {
    use super::{Deserialize, Deserializer, Serializer, number};

    #[expect(clippy::ref_option, reason = "the signature serde calls")]
    pub(in crate::model) fn serialize<S: Serializer>(
        value: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => number::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// A capability that is declared by an object being there: `{}` is `true`, absent is `false`.
pub(super) mod presence {
    use super::{Deserialize, Deserializer, IgnoredAny, SerializeMap, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
    pub(in crate::model) fn serialize<S: Serializer>(_: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<bool, D::Error> {
        Ok(Option::<IgnoredAny>::deserialize(deserializer)?.is_some())
    }
}

/// A list that the wire writes as its only item when there is just one.
pub(super) mod one_or_many {
    use super::{
        Deserialize, Deserializer, MapAccess, MapAccessDeserializer, PhantomData, SeqAccess,
        SeqAccessDeserializer, Serialize, Serializer, Visitor, fmt,
    };

    pub(in crate::model) fn serialize<S: Serializer, T: Serialize>(
        items: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match items {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }

    pub(in crate::model) fn deserialize<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de>,
    {
        struct OneOrMany<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one content block or an array of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Ok(vec![T::deserialize(MapAccessDeserializer::new(map))?])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq))
            }
        }

        deserializer.deserialize_any(OneOrMany(PhantomData))
    }
}
