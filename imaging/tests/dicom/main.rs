//! Files written by hand: each has one thing that real files have too rarely, or that no honest file has. What is
//! expected was computed on paper.

#![expect(clippy::unwrap_used, clippy::panic, reason = "either is a failed test")]

mod codecs;
mod meaning;
mod refusals;
mod storage;
mod writer;

use imaging::{Frame, Limits, Scan, Shown};

fn scan(file: &[u8]) -> Scan {
    Scan::decode(file, &Limits::default()).unwrap()
}

fn grey(scan: &Scan, frame: u32) -> Vec<f32> {
    match scan.frame(frame).unwrap() {
        Frame::Grey(values) => values,
        Frame::Colour(_) => panic!("it is grey"),
    }
}

fn colour(scan: &Scan, frame: u32) -> Vec<u8> {
    match scan.frame(frame).unwrap() {
        Frame::Colour(values) => values,
        Frame::Grey(_) => panic!("it has colours"),
    }
}

fn shown(scan: &Scan, window: Option<imaging::Window>) -> Vec<u8> {
    match scan.shown(0, window).unwrap() {
        Shown::Grey(values) | Shown::Colour(values) => values,
    }
}
