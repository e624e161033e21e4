//! What a configuration file may say about a network, and how mistakes are reported.

use he_agg::Preset;
use he_infer::{CompileError, ImageShape, LayerSpec, Network, NetworkError, Program};

const TOML: &str = r#"
image = { channels = 1, height = 28, width = 28 }
layers = [
    { type = "conv", channels = 8, kernel = 5, stride = 2 },
    { type = "quadratic" },
    { type = "conv", channels = 16, kernel = 3, stride = 2, padding = 0 },
    { type = "quadratic" },
    { type = "dense", units = 3 },
]
"#;

fn network(image: (usize, usize, usize), layers: Vec<LayerSpec>) -> Result<Network, NetworkError> {
    Network::new(ImageShape::new(image.0, image.1, image.2), layers)
}

#[test]
fn a_network_is_read_from_toml_and_written_back() {
    let network: Network = toml::from_str(TOML).unwrap();
    let shapes: Vec<String> = network.layers().iter().map(|l| l.output.to_string()).collect();
    assert_eq!(shapes, ["8x14x14", "8x14x14", "16x6x6", "16x6x6", "3x1x1"]);
    let again: Network = toml::from_str(&toml::to_string(&network).unwrap()).unwrap();
    assert_eq!(again, network);
}

#[test]
fn unknown_fields_are_refused_everywhere() {
    for (from, to) in [
        ("image =", "pictures = 1\nimage ="),
        ("width = 28", "width = 28, depth = 3"),
        ("stride = 2 }", "stride = 2, dilation = 2 }"),
        ("type = \"quadratic\"", "type = \"quadratic\", alpha = 1"),
        ("type = \"quadratic\"", "type = \"relu\""),
        ("type = \"quadratic\"", "type = \"quartic\", degree = 4"),
        ("{ type = \"quadratic\" }", "{ type = \"average-pool\" }"),
        ("units = 3", "units = 3, bias = false"),
        ("units = 3", "units = 300"),
    ] {
        assert!(TOML.contains(from));
        assert!(toml::from_str::<Network>(&TOML.replace(from, to)).is_err(), "{to}");
    }
}

#[test]
fn every_layer_type_is_read_from_toml_and_written_back() {
    let text = r#"
image = { channels = 3, height = 32, width = 32 }
layers = [
    { type = "conv", channels = 8, kernel = 3, stride = 2 },
    { type = "quartic" },
    { type = "depthwise-conv", kernel = 3, stride = 1 },
    { type = "conv", channels = 16, kernel = 1, stride = 1 },
    { type = "quadratic" },
    { type = "average-pool", size = 4 },
    { type = "dense", units = 3 },
]
"#;
    let network: Network = toml::from_str(text).unwrap();
    let shapes: Vec<String> = network.layers().iter().map(|l| l.output.to_string()).collect();
    assert_eq!(shapes, ["8x16x16", "8x16x16", "8x16x16", "16x16x16", "16x16x16", "16x4x4", "3x1x1"]);
    let names: Vec<&str> = network.tensors().iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names[..4], ["layers.0.weight", "layers.0.bias", "layers.1.beta", "layers.1.gamma"]);
    let again: Network = toml::from_str(&toml::to_string(&network).unwrap()).unwrap();
    assert_eq!(again, network);
}

#[test]
fn tensors_are_contiguous_in_the_documented_order() {
    let network: Network = toml::from_str(TOML).unwrap();
    let found: Vec<(&str, &[usize])> =
        network.tensors().iter().map(|t| (t.name.as_str(), t.shape.as_slice())).collect();
    let expected: [(&str, &[usize]); 8] = [
        ("layers.0.weight", &[8, 1, 5, 5]),
        ("layers.0.bias", &[8]),
        ("layers.1.beta", &[8]),
        ("layers.2.weight", &[16, 8, 3, 3]),
        ("layers.2.bias", &[16]),
        ("layers.3.beta", &[16]),
        ("layers.4.weight", &[3, 576]),
        ("layers.4.bias", &[3]),
    ];
    assert_eq!(found, expected);
    let mut offset = 0;
    for tensor in network.tensors() {
        assert_eq!(tensor.offset, offset);
        assert_eq!(tensor.len, tensor.shape.iter().product::<usize>());
        offset += tensor.len;
    }
    assert_eq!(offset, network.parameter_count());
}

#[test]
fn the_forward_pass_of_a_tiny_network_is_the_one_done_by_hand() {
    // 1x2x2 image, one 2x2 filter of ones: sum 10, bias 1, so x = 11 and 11 (11 - 1) = 110.
    let layers = vec![
        LayerSpec::Conv { channels: 1, kernel: 2, stride: 2, padding: None },
        LayerSpec::quadratic(),
        LayerSpec::dense(2),
    ];
    let network = network((1, 2, 2), layers).unwrap();
    let parameters = [1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 2.0, -1.0, 0.5, 0.25];
    let image = ndarray::arr3(&[[[1.0, 2.0], [3.0, 4.0]]]);
    let logits = network.forward(&parameters, image.view()).unwrap();
    assert_eq!(logits, [220.5, -109.75]);
}

#[test]
fn the_new_layers_compute_what_is_done_by_hand() {
    // One 4x4 channel of 1 to 16: depthwise 2x2 stride 2 of ones gives 14, 22, 46, 54, plus bias 1.
    let layers = vec![
        LayerSpec::conv(1, 1, 1),
        LayerSpec::depthwise_conv(2, 2),
        LayerSpec::average_pool(2),
        LayerSpec::dense(2),
    ];
    let image = ndarray::Array3::from_shape_fn((1, 4, 4), |(_, y, x)| (4 * y + x + 1) as f32);
    let parameters = [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, -1.0, 0.0, 0.5];
    let logits = network((1, 4, 4), layers).unwrap().forward(&parameters, image.view()).unwrap();
    assert_eq!(logits, [70.0, -34.5]);
    // x = 3: z = 3 (3 - 1) = 6, y = 6 (6 + 0.5) = 39.
    let layers = vec![LayerSpec::conv(1, 1, 1), LayerSpec::quartic(), LayerSpec::dense(2)];
    let parameters = [1.0, 0.0, -1.0, 0.5, 1.0, 0.0, 0.0, 0.0];
    let image = ndarray::arr3(&[[[3.0]]]);
    let logits = network((1, 1, 1), layers).unwrap().forward(&parameters, image.view()).unwrap();
    assert_eq!(logits, [39.0, 0.0]);
}

#[test]
fn every_mistake_names_its_layer() {
    let conv = LayerSpec::conv(4, 3, 2);
    let cases = [
        (network((1, 8, 8), vec![]), "1 to 32 layers"),
        (network((1, 0, 8), vec![LayerSpec::dense(2)]), "image 1x0x8"),
        (network((1, 8, 8), vec![LayerSpec::quadratic(), LayerSpec::dense(2)]), "layer 0 (quadratic)"),
        (network((1, 8, 8), vec![LayerSpec::average_pool(2), LayerSpec::dense(2)]), "layer 0 (average-pool)"),
        (network((1, 8, 8), vec![LayerSpec::depthwise_conv(3, 1), LayerSpec::dense(2)]), "layer 0 (depthwise-conv)"),
        (
            network((1, 8, 8), vec![conv, LayerSpec::average_pool(2), LayerSpec::quartic(), LayerSpec::dense(2)]),
            "layer 1 (average-pool) is followed by quartic; put it directly before",
        ),
        (network((1, 8, 8), vec![conv, LayerSpec::average_pool(5), LayerSpec::dense(2)]), "kernel 5 is larger"),
        (network((1, 8, 8), vec![conv, LayerSpec::average_pool(0), LayerSpec::dense(2)]), "size = 0 is out of range"),
        (
            network((1, 8, 8), vec![LayerSpec::dense(9), LayerSpec::depthwise_conv(1, 1), LayerSpec::dense(2)]),
            "layer 1 (depthwise-conv) follows a dense",
        ),
        (network((1, 8, 8), vec![conv, LayerSpec::conv(4, 0, 1)]), "layer 1 (conv): kernel = 0"),
        (network((1, 8, 8), vec![conv, conv]), "layer 1 (conv, 16 outputs)"),
        (network((1, 8, 8), vec![conv, LayerSpec::dense(17)]), "layer 1 (dense, 17 outputs)"),
        (network((1, 8, 8), vec![LayerSpec::dense(9), conv, LayerSpec::dense(2)]), "layer 1 (conv) follows a dense"),
        (
            network((1, 2, 2), vec![conv, LayerSpec::conv(4, 9, 9), LayerSpec::dense(2)]),
            "layer 1 (conv): kernel 9 is larger",
        ),
        (
            network((4096, 1024, 1024), vec![LayerSpec::dense(4096), LayerSpec::dense(2)]),
            "layer 0: 17592186048512 parameters",
        ),
    ];
    for (result, message) in cases {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} does not contain {message:?}");
    }
}

#[test]
fn what_does_not_compile_is_told_what_would_fit() {
    let (conv, q, dense) = (LayerSpec::conv(4, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(3));
    let deep = network((1, 16, 16), vec![conv, q, conv, q, dense]).unwrap();
    let error = Program::compile(&deep, Preset::Inf13.params()).unwrap_err();
    assert!(matches!(error, CompileError::Depth { layer: 4, needed: 5, depth: 4, .. }));
    assert!(
        error.to_string().ends_with("use at most 4 levels (quartic 2, average-pool 0, others 1) or INF15-90"),
        "{error}"
    );

    let quartic = network((1, 16, 16), vec![conv, LayerSpec::quartic(), conv, q, dense]).unwrap();
    let error = Program::compile(&quartic, Preset::Inf15x90.params()).unwrap_err();
    assert!(matches!(error, CompileError::Depth { layer: 4, needed: 6, depth: 5, .. }), "{error}");

    let wide = network((3, 64, 64), vec![LayerSpec::conv(8, 5, 2), q, dense]).unwrap();
    let error = Program::compile(&wide, Preset::Inf15x90.params()).unwrap_err();
    let CompileError::Positions { layer: 0, stride: Some(stride), .. } = error else {
        panic!("{error}");
    };
    let fits = network((3, 64, 64), vec![LayerSpec::conv(8, 5, stride), q, dense]).unwrap();
    assert!(Program::compile(&fits, Preset::Inf15x90.params()).is_ok());

    for preset in [Preset::Agg13, Preset::Trn14] {
        let error = Program::compile(&deep, preset.params()).unwrap_err();
        assert_eq!(error, CompileError::Preset { preset });
    }
}

#[test]
fn the_digest_depends_on_everything_and_on_nothing_else() {
    let base = || vec![LayerSpec::conv(4, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(3)];
    let digest = |side, layers, preset: Preset| {
        let network = network((1, side, side), layers).unwrap();
        Program::compile(&network, preset.params()).unwrap().digest()
    };
    let first = digest(8, base(), Preset::Inf13);
    assert_eq!(first, digest(8, base(), Preset::Inf13));
    let mut units = base();
    units[2] = LayerSpec::dense(4);
    let mut padding = base();
    padding[0] = LayerSpec::Conv { channels: 4, kernel: 3, stride: 2, padding: Some(0) };
    let others = [
        digest(9, base(), Preset::Inf13),
        digest(8, base(), Preset::Inf14x30),
        digest(8, units, Preset::Inf13),
        digest(8, padding, Preset::Inf13),
    ];
    assert!(others.iter().all(|other| *other != first));
}

#[test]
fn images_and_parameters_of_another_network_are_refused() {
    let network = network((1, 8, 8), vec![LayerSpec::dense(2)]).unwrap();
    let program = Program::compile(&network, Preset::Inf13.params()).unwrap();
    let small = ndarray::Array3::zeros((1, 7, 8));
    assert!(program.pack(small.view()).unwrap_err().to_string().contains("1x7x8"));
    let mut image = ndarray::Array3::zeros((1, 8, 8));
    image[[0, 1, 0]] = f32::NAN;
    assert!(program.pack(image.view()).unwrap_err().to_string().contains("pixel 8"));
    assert!(program.encode_weights(&[0.0; 129]).is_err());
    let mut parameters = [0.0; 130];
    parameters[129] = f32::INFINITY;
    let error = program.encode_weights(&parameters).unwrap_err();
    assert!(error.to_string().contains("parameter 129"));
    assert!(program.read_logits(&[0.0; 5]).is_err());
}
