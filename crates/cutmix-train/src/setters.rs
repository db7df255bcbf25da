//! Methods that set one field each.

/// Defines a method for each line `name field: Type;`, which sets the field and returns the value.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident $field:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}
