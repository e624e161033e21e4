//! What is chosen, and which results are compared, without any device.

use he_gpu::OpenError;
use protocol::ids::Digest;

use super::faulty::{Ear, Fault, FaultyHost};
use super::*;

fn absent() -> Result<FaultyHost, OpenError> {
    let old = Probed { kind: DeviceKind::Other, ..FaultyHost::new(Fault::None).device() };
    Err(OpenError::Unusable { reason: "no compute shaders".to_owned(), found: vec![old] })
}

fn present(kind: DeviceKind) -> impl FnOnce() -> Result<FaultyHost, OpenError> {
    move || Ok(FaultyHost { kind, ..FaultyHost::new(Fault::None) })
}

#[test]
fn words_and_choices_are_the_same() {
    for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Gpu] {
        assert_eq!(choice.to_string().parse(), Ok(choice));
    }
    assert_eq!(DeviceChoice::default(), DeviceChoice::Auto);
    let error = "cuda".parse::<DeviceChoice>().unwrap_err().to_string();
    assert_eq!(error, "\"cuda\" is no device to compute on; it is one of auto, cpu, gpu");
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_that_names_what_was_found() {
    let error = Compute::choose_from(DeviceChoice::Gpu, absent).unwrap_err();
    let text = error.to_string();
    for part in ["no compute shaders", "Test 1 (test, test 0.1)", "--device cpu", "driver"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let auto = Compute::choose_from(DeviceChoice::Auto, absent).unwrap();
    assert_eq!((auto.device(), auto.warning(), auto.choice()), (None, None, DeviceChoice::Auto));
    assert!(auto.to_string().starts_with("computing on the processor ("), "{auto}");
    assert!(auto.to_string().contains("no compute shaders"), "{auto}");
}

#[test]
fn a_build_without_gpu_support_says_so_and_what_to_do() {
    let refuse = || Err::<FaultyHost, _>(OpenError::NotBuilt);
    let error = Compute::choose_from(DeviceChoice::Gpu, refuse).unwrap_err();
    assert_eq!(error, ComputeError::NotBuilt { source: OpenError::NotBuilt });
    for part in ["this build has no GPU support", "rebuild with --features gpu", "--device cpu"] {
        assert!(error.to_string().contains(part), "{part} is not in: {error}");
    }
    assert!(!error.to_string().contains("driver"), "{error}");
    let auto = Compute::choose_from(DeviceChoice::Auto, refuse).unwrap();
    assert!(auto.to_string().starts_with("computing on the processor ("), "{auto}");
    assert!(auto.to_string().ends_with(": this build has no GPU support; rebuild with --features gpu"), "{auto}");
}

/// What this build really does, which depends on the feature.
#[cfg(not(feature = "gpu"))]
#[test]
fn without_the_feature_no_device_is_opened() {
    assert_eq!(Compute::choose(DeviceChoice::Gpu).unwrap_err(), ComputeError::NotBuilt { source: OpenError::NotBuilt });
    assert!(Compute::choose(DeviceChoice::Auto).unwrap().device().is_none());
}

#[test]
fn the_processor_is_chosen_without_a_look_at_devices() {
    let opened = std::cell::Cell::new(false);
    let open = || {
        opened.set(true);
        present(DeviceKind::Discrete)()
    };
    let cpu = Compute::choose_from(DeviceChoice::Cpu, open).unwrap();
    assert!(!opened.get() && cpu.device().is_none() && cpu.worker().is_none());
    assert!(cpu.to_string().ends_with("): as chosen"), "{cpu}");
}

#[test]
fn auto_takes_any_gpu_but_no_rasteriser() {
    for kind in [DeviceKind::Discrete, DeviceKind::Integrated, DeviceKind::Other] {
        let compute = Compute::choose_from(DeviceChoice::Auto, present(kind)).unwrap();
        assert_eq!(compute.device().map(|device| device.kind), Some(kind));
        assert!(compute.worker().is_some() && compute.warning().is_none());
        assert!(compute.to_string().starts_with("computing on Test 1 (test, test 0.1): a GPU"), "{compute}");
    }
    let auto = Compute::choose_from(DeviceChoice::Auto, present(DeviceKind::Software)).unwrap();
    assert!(auto.device().is_none() && auto.reason().contains("Test 1 (test, test 0.1) is a software rasteriser"));
    let gpu = Compute::choose_from(DeviceChoice::Gpu, present(DeviceKind::Software)).unwrap();
    assert!(gpu.worker().is_some());
    assert!(gpu.warning().is_some_and(|warning| warning.contains("software rasteriser")), "{gpu}");
}

#[test]
fn a_device_is_given_up_once_for_all_copies() {
    let (compute, ear) = (FaultyHost::new(Fault::None).chosen(), Ear::default());
    let copy = compute.clone();
    assert_eq!(compute.attempt(&ear, |_| Ok::<_, String>(7)), Some(7));
    assert_eq!(compute.attempt(&ear, |_| Err::<(), _>("unplugged")), None);
    copy.give_up(&ear, "again");
    assert_eq!(copy.attempt(&ear, |_| Ok::<_, String>(7)), None);
    assert_eq!(ear.given_up(), ["Test 1 (test, test 0.1): unplugged"]);
    assert_eq!((copy.given_up(), copy.worker().is_some()), (Some("unplugged"), false));
    assert!(copy.device().is_some(), "reports name it all the same");
}

#[test]
fn one_result_in_64_is_compared_and_never_none() {
    let contents: Vec<Digest> = (0..6_400u32).map(|i| content(vec![Digest::of_bytes(&i.to_le_bytes())])).collect();
    let places = chosen(&contents);
    assert!((50..200).contains(&places.len()), "{}", places.len());
    assert!(places.iter().all(|place| is_chosen(&contents[*place])));
    let others: Vec<Digest> = contents.iter().copied().filter(|content| !is_chosen(content)).take(9).collect();
    assert_eq!(chosen(&others).len(), 1);
    assert!(chosen(&[]).is_empty());
    // The operands decide, each of them and their order.
    let [a, b] = [b"a", b"b"].map(|bytes| Digest::of_bytes(bytes));
    let lists = [content(vec![a]), content(vec![a, b]), content(vec![b, a])];
    assert!(lists[0] != lists[1] && lists[1] != lists[2]);
}
