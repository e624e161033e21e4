//! What an error says beside its message.

use std::borrow::Cow;
use std::error::Error;

use crate::Exit;

/// An error that ends an invocation and says what a program and a person need to know of it. The message says what was
/// wrong; none of these repeats it.
pub trait Explained: Error {
    /// A word for scripts.
    fn code(&self) -> &'static str;

    /// Where to look, where one place can be named.
    fn place(&self) -> Option<String> {
        None
    }

    /// What to do about it.
    fn remedy(&self) -> Cow<'static, str>;

    /// What the process returns.
    fn exit(&self) -> Exit;
}
