//! Costs against those that another accountant computed.

use privacy::NoisyStep;

/// (rate, noise, steps, delta, epsilon, order, privacy loss distribution): the first of dp-accounting 0.6.0, Opacus
/// 1.5.3 and the formula alike; the last, which is smaller, of dp-accounting's exact composition.
const VECTORS: [(f64, f64, u32, f64, f64, u32, f64); 10] = [
    (1.0, 1.0, 1, 1e-5, 4.7527283368, 5, 4.3772),
    (1.0, 4.0, 40, 1e-5, 8.0878616288, 4, 7.5113),
    (0.01, 1.0, 1000, 1e-5, 2.1077530755, 8, 1.8282),
    (0.01, 0.6, 1000, 1e-6, 10.2539250219, 3, 8.7114),
    (0.1, 2.0, 200, 1e-5, 3.6797458456, 6, 3.3597),
    (0.1, 1.0, 200, 1e-5, 11.1441515407, 3, 9.9713),
    (0.05, 0.8, 100, 1e-5, 6.7778280909, 3, 5.7412),
    (0.02, 1.2, 600, 1e-5, 2.3814012219, 8, 2.1448),
    (0.001, 0.5, 10_000, 1e-6, 7.5696598696, 3, 6.3461),
    (0.5, 6.0, 100, 1e-5, 3.9275189718, 6, 3.6207),
];

#[test]
fn ten_costs_are_what_three_accountants_say() {
    for (rate, noise, steps, delta, expected, order, exact) in VECTORS {
        let costs = NoisyStep::new(rate, noise).unwrap().costs(steps);
        let found = costs.epsilon_and_order(delta);
        assert!((found.0 - expected).abs() < 1e-9 && found.1 == order, "{rate} {noise} {steps}: {found:?}");
        assert!(found.0 > exact);
    }
}

/// A thousand more of dp-accounting 0.6.0's `RdpAccountant` with orders 2 to 256: rates 1e-4 to 1, noise 0.4 to 30, 1
/// to 10,000 steps, delta 1e-8 to 1e-4, drawn evenly in their logarithms.
#[test]
fn a_thousand_costs_are_what_another_accountant_says() {
    let mut count = 0;
    for line in include_str!("../golden/accountant.csv").lines().skip(1) {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let [rate, noise, steps, delta, expected, order] = fields[..] else { panic!("{line}") };
        let found = NoisyStep::new(rate, noise).unwrap().costs(steps as u32).epsilon_and_order(delta);
        assert!((found.0 - expected).abs() < 1e-6, "{line}: {found:?}");
        assert!(f64::from(found.1) == order || expected == 0.0, "{line}: {found:?}");
        count += 1;
    }
    assert_eq!(count, 1000);
}
