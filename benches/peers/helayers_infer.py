#!/usr/bin/env python3
"""One encrypted image on a small convolutional network with HElayers, for comparison with `consilium bench infer`.

    python3 -m venv helayers && helayers/bin/pip install pyhelayers==1.5.5.4 onnx numpy
    OMP_NUM_THREADS=2 helayers/bin/python benches/peers/helayers_infer.py --network tutorial --model encrypted
    OMP_NUM_THREADS=2 helayers/bin/python benches/peers/helayers_infer.py --network lola --model plain

Networks as `consilium bench infer` names them, random weights; HElayers compiles them for one image at a time, and
chooses ring, scale and packing itself (over SEAL; 128-bit security). (The community edition is for non-commercial use.)
One JSON line per part; an evaluation stays in memory, without packing to bytes.
"""
import argparse
import json
import os
import statistics
import tempfile
import time

import numpy as np
import onnx
import pyhelayers
from onnx import TensorProto, helper, numpy_helper

SIDE, CLASSES = 28, 10
# kernel, stride, channels, padding, hidden units
NETWORKS = {"tutorial": (7, 3, 4, 0, 64), "lola": (5, 2, 5, 2, 100)}


def timed(operation, runs):
    """The last result, and the median and minimum of `runs` calls after one that warms up."""
    result, seconds = operation(), []
    for _ in range(runs):
        started = time.perf_counter()
        result = operation()
        seconds.append(time.perf_counter() - started)
    return result, {"median_s": statistics.median(seconds), "min_s": min(seconds), "repetitions": runs}


def network(name, random):
    """An ONNX model and its forward pass."""
    kernel, stride, channels, padding, hidden = NETWORKS[name]
    side = (SIDE + 2 * padding - kernel) // stride + 1
    features = channels * side * side

    def uniform(*shape, fan_in):
        return (random.uniform(-1.0, 1.0, shape) / np.sqrt(fan_in)).astype(np.float32)

    taps = kernel * kernel
    values = {"kernel": uniform(channels, 1, kernel, kernel, fan_in=taps), "offset": uniform(channels, fan_in=taps),
              "hidden": uniform(hidden, features, fan_in=features), "hidden_bias": uniform(hidden, fan_in=features),
              "last": uniform(CLASSES, hidden, fan_in=hidden), "last_bias": uniform(CLASSES, fan_in=hidden)}
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "offset"], ["maps"], kernel_shape=[kernel] * 2,
                         strides=[stride] * 2, pads=[padding] * 4),
        helper.make_node("Mul", ["maps", "maps"], ["squared"]),
        helper.make_node("Flatten", ["squared"], ["row"]),
        helper.make_node("Gemm", ["row", "hidden", "hidden_bias"], ["units"], transB=1),
        helper.make_node("Mul", ["units", "units"], ["squared_units"]),
        helper.make_node("Gemm", ["squared_units", "last", "last_bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(value, key) for key, value in values.items()])

    def forward(image):
        padded = np.pad(image[0, 0], padding)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel))[::stride, ::stride]
        maps = np.einsum("yxij,cij->cyx", windows, values["kernel"][:, 0]) + values["offset"][:, None, None]
        units = values["hidden"] @ (maps**2).ravel() + values["hidden_bias"]
        return values["last"] @ units**2 + values["last_bias"]

    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), forward


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(NETWORKS), default="tutorial")
    parser.add_argument("--model", choices=["plain", "encrypted"], default="encrypted")
    parser.add_argument("--repeat", type=int, default=11)
    arguments = parser.parse_args()
    random, runs, encrypted = np.random.default_rng(3), arguments.repeat, arguments.model == "encrypted"
    model, forward = network(arguments.network, random)
    image = random.uniform(0.0, 1.0, (1, 1, SIDE, SIDE))
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        onnx.save(model, file.name)
        plain = pyhelayers.NeuralNetPlain()
        plain.init_from_files(pyhelayers.PlainModelHyperParams(), [file.name])
    wishes = pyhelayers.HeRunRequirements()
    wishes.set_he_context_options([pyhelayers.SealCkksContext()])
    wishes.set_model_encrypted(encrypted)
    wishes.optimize_for_batch_size(1)
    profile = pyhelayers.HeModel.compile(plain, wishes)
    context = pyhelayers.HeModel.create_context(profile)

    def line(op, **fields):
        shape = {"peer": f"pyhelayers {pyhelayers.VERSION}", "network": arguments.network, "model": arguments.model,
                 "op": op, "slots": context.slot_count(), "threads": os.environ.get("OMP_NUM_THREADS", "default")}
        print(json.dumps({**shape, **fields}), flush=True)

    served = pyhelayers.NeuralNet(context)
    (served.encode_encrypt if encrypted else served.encode)(plain, profile)
    line("model", bytes=len(served.save_to_buffer()))
    io = served.create_model_io_encoder()

    def encrypt():
        query = pyhelayers.EncryptedData(context)
        io.encode_encrypt(query, [image])
        return query

    def evaluate():
        answer = pyhelayers.EncryptedData(context)
        served.predict(answer, query)
        return answer

    query, encrypting = timed(encrypt, runs)
    line("encrypt", bytes=len(query.save_to_buffer()), **encrypting)
    answer, evaluating = timed(evaluate, runs)
    line("evaluate", bytes=len(answer.save_to_buffer()), **evaluating)
    logits, decrypting = timed(lambda: io.decrypt_decode_output(answer), runs)
    expected = forward(image)
    line("decrypt", error_max=float(np.abs(np.array(logits).ravel() - expected).max()),
         logit_max=float(np.abs(expected).max()), **decrypting)


if __name__ == "__main__":
    main()
