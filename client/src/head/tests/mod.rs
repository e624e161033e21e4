//! Three hospitals, their coordinator's part done by hand, and what a coordinator that cheats gets.

mod cast;
mod forged;
mod honest;
