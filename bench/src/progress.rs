//! What is being measured, for whoever waits. A measurement prints nothing itself.

/// Hears what is under way. It is called between figures and must not go on working afterwards, which would disturb
/// them.
pub trait Progress: Send {
    /// A group of operations begins, for instance a preset.
    fn group(&mut self, name: &str);

    /// One operation begins.
    fn step(&mut self, name: &str);

    /// Nothing more comes.
    fn finish(&mut self);
}

/// Nobody waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unseen;

impl Progress for Unseen {
    fn group(&mut self, _name: &str) {}

    fn step(&mut self, _name: &str) {}

    fn finish(&mut self) {}
}
