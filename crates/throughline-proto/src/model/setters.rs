//! The one macro behind every `with_*` method.

/// Writes `with_*` methods: `name(field: Type) = value;` sets `field` to `value` and returns `self`.
macro_rules! setters {
    ($($(#[$attr:meta])* $name:ident($field:ident: $ty:ty) = $value:expr;)*) => {
        $(
            $(#[$attr])*
            #[must_use]
            pub fn $name(mut self, $field: $ty) -> Self {
                self.$field = $value;
                self
            }
        )*
    };
}
