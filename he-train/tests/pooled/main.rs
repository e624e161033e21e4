//! Moments of hospitals through a whole round of mode A.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod round;

use he_agg::aggregation::{Flooding, LaneLayout};
use he_agg::{Preset, Stream};
use he_train::{MomentLanes, Moments, Whitening};
use ndarray::{Array2, Axis};

use round::Hospitals;

/// Bits of a lane.
const LANE_BITS: u32 = 16;
const HOSPITALS: u16 = 5;
const THRESHOLD: u16 = 4;
/// Most rows of a hospital.
const ROWS_MAX: u64 = 1 << 20;

/// Rows of hospitals that have unlike patients, of features that depend on each other.
fn rows(stream: &mut Stream, hospital: usize, count: usize, features: usize) -> Array2<f64> {
    let mut rows = Array2::zeros((count, features));
    for mut row in rows.rows_mut() {
        let mut before = 0.0;
        for (column, feature) in row.iter_mut().enumerate() {
            let spread = 2.0 / (1.0 + column as f64);
            before = 0.4 * before + spread * (stream.next_f64() - 0.5);
            *feature = before + 0.1 * (hospital + column % 5) as f64;
        }
    }
    rows
}

fn layout(lanes: &MomentLanes) -> LaneLayout {
    let flooding = Flooding::secure(40, 1 << 14).unwrap();
    let layout = LaneLayout::new(Preset::Agg13.params(), HOSPITALS, THRESHOLD, LANE_BITS, flooding).unwrap();
    layout.for_values(lanes.values())
}

fn added(integers: &[Vec<i32>]) -> Vec<i64> {
    let lane = |lane: usize| integers.iter().map(|own| i64::from(own[lane])).sum();
    (0..integers[0].len()).map(lane).collect()
}

#[test]
fn features_pooled_by_mode_a_are_whitened_as_those_of_all_rows_together() {
    let (features, dimension) = (24, 17);
    let lanes = MomentLanes::new(features, LANE_BITS, ROWS_MAX, HOSPITALS).unwrap();
    let mut stream = Stream::from_seed([4; 32]);
    let counts = [400, 1, 0, 37, 1200];
    let own: Vec<_> = (0..).zip(counts).map(|(at, count)| rows(&mut stream, at, count, features)).collect();
    let integers: Vec<_> = own.iter().map(|rows| lanes.encode(&lanes.moments(rows).unwrap()).unwrap()).collect();

    let sums = Hospitals::new(layout(&lanes)).sum(&integers);
    assert_eq!(sums, added(&integers));

    let views: Vec<_> = own.iter().map(Array2::view).collect();
    let all = ndarray::concatenate(Axis(0), &views).unwrap();
    let pooled = Whitening::new(&lanes.decode(&sums).unwrap(), dimension).apply(&all);
    let expected = Whitening::new(&Moments::of(&all), dimension).apply(&all);
    let off = (&pooled - &expected).fold(0.0f64, |most, off| most.max(off.abs()));
    assert!(off < 1e-6, "{off}");
    // They are those of nobody alone: the rows of one hospital give other features.
    let alone = Whitening::new(&Moments::of(&own[4]), dimension).apply(&all);
    assert!((&alone - &expected).iter().any(|off| off.abs() > 0.1));
}

#[test]
fn moments_of_more_than_a_chunk_come_back_whole() {
    let lanes = MomentLanes::new(170, LANE_BITS, ROWS_MAX, HOSPITALS).unwrap();
    let layout = layout(&lanes);
    assert_eq!(layout.chunks(lanes.values()), 2);
    let mut stream = Stream::from_seed([9; 32]);
    let own: Vec<_> = (0..5).map(|hospital| Moments::of(&rows(&mut stream, hospital, 3 * hospital, 170))).collect();
    let integers: Vec<_> = own.iter().map(|moments| lanes.encode(moments).unwrap()).collect();
    let sums = Hospitals::new(layout).sum(&integers);
    assert_eq!(sums, added(&integers));
    assert!(lanes.decode(&sums).is_ok());
}
