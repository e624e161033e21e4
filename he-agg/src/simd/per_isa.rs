//! Declares a plain loop once per instruction set.
//!
//! The body is an `#[inline(always)]` function, compiled again inside every
//! instance; the first argument chooses the instance, so that tests can run
//! all of them.

/// `name(isa, arguments) -> result = body;` for each kernel.
macro_rules! per_isa {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? = $body:path;)*) => {
        $($(#[$doc])*
        pub(crate) fn $name(isa: super::Isa, $($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) $(-> $out)? { $body($($arg),*) }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($arg: $type),*) $(-> $out)? { $body($($arg),*) }
                match isa {
                    super::Isa::Scalar => $body($($arg),*),
                    // SAFETY: an `Isa` other than `Scalar` comes from `Isa::available`,
                    // which checked the processor for these features.
                    super::Isa::Avx2 => unsafe { avx2($($arg),*) },
                    // SAFETY: as above.
                    super::Isa::Avx512 => unsafe { avx512($($arg),*) },
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let _ = isa;
                $body($($arg),*)
            }
        })*
    };
}

pub(super) use per_isa;
