//! Collective serving keys and the key switch to the asker.
