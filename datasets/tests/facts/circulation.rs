//! The circulation model beside another integrator's solution of the same equations, and its patients.

use datasets::circulation::{
    Body, Circulation, CirculationSpec, INPUTS, OUTPUTS, Patients, ReadingScale, STANDARD, generate,
};
use datasets::{DataError, SplitFractions};

/// Systolic, diastolic, mean arterial, stroke volume, ejection fraction, output, end-diastolic, end-systolic, mean
/// pulmonary, mean left atrial in the 24th beat by scipy's LSODA (relative and absolute tolerance 1e-8, then 1e-9),
/// from the equations written anew.
const SOLVED: [(Body, [f64; 10]); 3] = [
    (STANDARD, [118.446, 77.789, 99.2339, 71.3074, 59.8085, 5.13413, 119.274, 47.9379, 19.0427, 8.78078]),
    (
        Body {
            heart_rate: 95.0,
            left_contractility: 1.8,
            left_stiffness: 0.11,
            right_contractility: 0.5,
            systemic_resistance: 1.3,
            arterial_compliance: 1.1,
            pulmonary_resistance: 0.15,
            stressed_volume: 1700.0,
            systole: 0.31,
        },
        [136.575, 100.374, 119.239, 51.5436, 38.8022, 4.89664, 132.967, 81.3727, 28.9693, 12.6082],
    ),
    (
        Body {
            heart_rate: 55.0,
            left_contractility: 4.0,
            left_stiffness: 0.06,
            right_contractility: 0.8,
            systemic_resistance: 0.8,
            arterial_compliance: 2.0,
            pulmonary_resistance: 0.04,
            stressed_volume: 1300.0,
            systole: 0.37,
        },
        [83.3621, 53.9366, 69.5392, 78.9371, 72.4895, 4.34154, 108.932, 29.9677, 12.7967, 6.2877],
    ),
];

fn read(body: &Body) -> [f64; 10] {
    let beat = body.simulate().last;
    [
        beat.systolic,
        beat.diastolic,
        beat.mean_arterial,
        beat.stroke_volume,
        beat.ejection_fraction,
        beat.cardiac_output,
        beat.end_diastolic,
        beat.end_systolic,
        beat.mean_pulmonary,
        beat.mean_left_atrial,
    ]
}

fn parts(data: &Circulation) -> [&Patients; 3] {
    [&data.train, &data.validation, &data.test]
}

#[test]
fn readings_are_those_of_another_integrator() {
    for (body, solved) in SOLVED {
        for ((found, expected), quantity) in read(&body).into_iter().zip(solved).zip(OUTPUTS) {
            let error = (found / expected - 1.0).abs();
            assert!(error < 1e-3, "{}: {found} for {expected}", quantity.name);
        }
    }
}

#[test]
fn the_standard_person_is_healthy() {
    let beat = STANDARD.simulate().last;
    assert_eq!((beat.systolic.round(), beat.diastolic.round()), (118.0, 78.0));
    assert_eq!(beat.ejection_fraction.round(), 60.0);
    for (value, quantity) in read(&STANDARD).into_iter().zip(OUTPUTS) {
        let (low, high) = quantity.range;
        assert!(low <= value && value <= high, "{}: {value} outside {low}..{high}", quantity.name);
    }
}

#[test]
fn blood_is_kept_and_beats_repeat() {
    for (body, _) in SOLVED {
        let life = body.simulate();
        assert!(life.volume_error.abs() < 1e-9, "{}", life.volume_error);
        assert!(life.drift > 0.0 && life.drift < 1.4e-3, "{}", life.drift);
        let volumes: Vec<f64> = life.trace.iter().map(|moment| moment.ventricle_volume).collect();
        let most = volumes.iter().copied().fold(f64::MIN, f64::max);
        assert_eq!(most, life.last.end_diastolic, "the trace is the beat that was read");
        let ejecting = life.trace.iter().filter(|moment| moment.ventricle_pressure > moment.arterial_pressure).count();
        assert!((20..150).contains(&ejecting), "{ejecting} of {}", life.trace.len());
    }
}

#[test]
fn nearly_all_points_of_the_full_sequence_are_patients() {
    let data = generate(&CirculationSpec::default()).unwrap();
    let count: usize = parts(&data).iter().map(|part| part.len()).sum();
    // 7,712 of 8,192 with scipy's scrambling of the sequence.
    assert!((7_600..7_800).contains(&count), "{count}");
    for row in data.plausibility() {
        let [least, five, median, most_but_five, most] = row.quantiles;
        assert!(least < five && five < median && median < most_but_five && most_but_five < most, "{row:?}");
        let (low, high) = row.quantity.range;
        assert!(low < row.standard && row.standard < high, "{row:?}");
        assert!(five < high && low < most_but_five, "healthy people are among them: {row:?}");
    }
    let limits = [(0, 70.0, 220.0), (1, 35.0, 130.0), (4, 20.0, 80.0), (5, 2.0, 10.0)];
    for (column, low, high) in limits {
        for part in parts(&data) {
            assert!(part.outputs.column(column).iter().all(|&value| low < value && value < high), "{column}");
        }
    }
    let scaled = data.train.scaled_inputs();
    assert!(scaled.iter().all(|value| (-1.0..=1.0).contains(value)));
    for (column, quantity) in scaled.columns().into_iter().zip(INPUTS) {
        let mean = column.sum() / column.len() as f64;
        assert!(mean.abs() < 0.15, "{}: {mean}", quantity.name);
    }
}

fn small(hospitals: usize) -> CirculationSpec {
    CirculationSpec { hospitals, candidates: 320, ..CirculationSpec::default() }
}

fn rows(data: &Circulation) -> Vec<Vec<u64>> {
    let row = |part: &Patients, row: usize| -> Vec<u64> {
        part.inputs.row(row).iter().chain(part.outputs.row(row)).map(|value| value.to_bits()).collect()
    };
    let mut rows: Vec<_> = parts(data).iter().flat_map(|part| (0..part.len()).map(|at| row(part, at))).collect();
    rows.sort();
    rows
}

#[test]
fn hospitals_share_the_same_people_evenly_and_see_different_ones() {
    let (one, five) = (generate(&small(1)).unwrap(), generate(&small(5)).unwrap());
    assert_eq!(rows(&one), rows(&five));
    let mut counts = [0usize; 5];
    let mut rates = [0.0; 5];
    for part in parts(&five) {
        for (row, &site) in part.sites.iter().enumerate() {
            counts[site as usize - 1] += 1;
            rates[site as usize - 1] += part.inputs[[row, 0]];
        }
    }
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    let means: Vec<f64> = rates.iter().zip(counts).map(|(sum, count)| sum / count as f64).collect();
    let spread = means.iter().copied().fold(f64::MIN, f64::max) - means.iter().copied().fold(f64::MAX, f64::min);
    assert!(spread > 20.0, "mean heart rates: {means:?}");
    for part in parts(&five) {
        assert!((1..=5).all(|site| part.sites.contains(&site)));
    }
}

#[test]
fn the_same_seed_gives_the_same_people_and_another_others() {
    let data = generate(&small(2)).unwrap();
    assert_eq!(data, generate(&small(2)).unwrap());
    assert_ne!(rows(&data), rows(&generate(&CirculationSpec { seed: 2, ..small(2) }).unwrap()));
    let high = CirculationSpec { seed: 1 | 1 << 40, ..small(2) };
    assert_ne!(rows(&data), rows(&generate(&high).unwrap()), "the upper half of a seed counts");
    let [lower, both] = [u64::from(u32::MAX), u64::MAX].map(|seed| CirculationSpec { seed, ..small(2) });
    assert_ne!(rows(&generate(&lower).unwrap()), rows(&generate(&both).unwrap()), "whatever the lower half");
}

#[test]
fn hospitals_deal_their_patients_to_the_parts_unlike_one_another() {
    // A single part has the order of the sequence.
    let whole = SplitFractions { train: 1.0, validation: 0.0, test: 0.0 };
    let own = |part: &Patients, site: u32| -> Vec<Vec<f64>> {
        (0..part.len()).filter(|&row| part.sites[row] == site).map(|row| part.inputs.row(row).to_vec()).collect()
    };
    // Of the bits that tell these hospitals apart none is set in the seed, then every one.
    for seed in [0, 3] {
        let spec = CirculationSpec { seed, ..small(3) };
        let ordered = generate(&CirculationSpec { split: whole, ..spec.clone() }).unwrap().train;
        let test = generate(&spec).unwrap().test;
        let tested = [1, 2, 3].map(|site| {
            let chosen = own(&test, site);
            own(&ordered, site).iter().map(|patient| chosen.contains(patient)).collect::<Vec<_>>()
        });
        // Of three numbers of patients that differ by one at most, two are the same.
        assert!(tested[0] != tested[1] && tested[1] != tested[2] && tested[2] != tested[0], "{seed}: {tested:?}");
    }
}

#[test]
fn hospitals_differ_in_rate_then_resistance_then_contractility_then_rate_again() {
    let spec = CirculationSpec { hospitals: 16, candidates: 512, ..CirculationSpec::default() };
    let data = generate(&spec).unwrap();
    // Of the hospitals first..first + count, smallest and largest value of an input.
    let range = |first: u32, count: u32, input: usize| {
        let values = parts(&data).into_iter().flat_map(|part| part.sites.iter().zip(part.inputs.column(input)));
        let own = values.filter(|(site, _)| (first..first + count).contains(site));
        own.fold((f64::MAX, f64::MIN), |(least, most), (_, &value)| (least.min(value), most.max(value)))
    };
    for (half, name) in [(8, "heart rate"), (4, "systemic resistance"), (2, "left contractility"), (1, "heart rate")] {
        let input = INPUTS.iter().position(|quantity| quantity.name == name).unwrap();
        for first in (1..=16).step_by(2 * half) {
            let (lower, upper) = (range(first, half as u32, input), range(first + half as u32, half as u32, input));
            assert!(lower.0 < lower.1 && lower.1 <= upper.0 && upper.0 < upper.1, "{name}: {lower:?} {upper:?}");
        }
    }
}

#[test]
fn a_part_without_a_share_is_empty() {
    let split = SplitFractions { train: 0.75, validation: 0.0, test: 0.25 };
    let data = generate(&CirculationSpec { split, ..small(1) }).unwrap();
    assert_eq!(parts(&data).map(Patients::is_empty), [false, true, false]);
    assert_eq!(data.validation.len(), 0);
}

#[test]
fn settings_out_of_range_are_named() {
    let refused = |spec: CirculationSpec| match generate(&spec).unwrap_err() {
        DataError::Setting { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(refused(small(0)), "hospitals");
    assert_eq!(refused(CirculationSpec { candidates: 1 << 16, ..small(65) }), "hospitals");
    assert!(small(10).check().is_ok());
    assert!(CirculationSpec { candidates: 1 << 16, ..small(64) }.check().is_ok());
    assert_eq!(refused(small(11)), "candidates");
    assert_eq!(refused(CirculationSpec { candidates: (1 << 16) + 1, ..small(1) }), "candidates");
    let mut spec = small(1);
    spec.split.train = 0.9;
    assert_eq!(refused(spec), "split");
}

#[test]
fn readings_on_a_scale_have_mean_0_and_deviation_1_and_errors_count_in_their_units() {
    let data = generate(&small(1)).unwrap();
    let scale = ReadingScale::of(&data.train);
    let scaled = scale.scaled(&data.train.outputs);
    let again = (scale.readings(&scaled) - &data.train.outputs) / &data.train.outputs;
    assert!(again.iter().all(|off| off.abs() < 1e-12), "the readings come back");
    for column in scaled.columns() {
        assert!(column.mean().unwrap().abs() < 1e-9 && (column.std(0.0) - 1.0).abs() < 1e-9);
    }
    // Every second reading too large by a tenth of itself.
    let mut given = data.test.outputs.clone();
    given.indexed_iter_mut().filter(|((row, _), _)| row % 2 == 0).for_each(|(_, value)| *value *= 1.1);
    let wrong = data.test.len().div_ceil(2) as f64 / data.test.len() as f64;
    let error = scale.relative_error(scale.scaled(&given).view(), scale.scaled(&data.test.outputs).view());
    assert!((error - 0.1 * wrong).abs() < 1e-9, "{error}");
}
