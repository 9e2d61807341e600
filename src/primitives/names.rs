//! Enums whose variants have a name in the database and in JSON.

/// Declares an enum of fieldless variants, each with its name in the database and in JSON. It gets
/// `ALL`, `as_str`, `from_name`, [`Display`](std::fmt::Display) and
/// [`Serialize`](serde::Serialize).
macro_rules! named {
    ($(#[$attribute:meta])* $visibility:vis enum $Name:ident {
        $($(#[$doc:meta])* $Variant:ident = $name:literal,)+
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $visibility enum $Name {
            $($(#[$doc])* $Variant,)+
        }

        impl $Name {
            /// All of them.
            $visibility const ALL: &'static [Self] = &[$(Self::$Variant),+];

            /// Its name in the database and in JSON.
            $visibility const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name,)+
                }
            }

            /// The variant with this name, if there is one.
            $visibility fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use named;
