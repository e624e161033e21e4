#!/usr/bin/env python3
"""One encrypted image on the convolutional network of TenSEAL's tutorial 4, for comparison with
`consilium bench infer --network tutorial`.

    python3 -m venv tenseal && tenseal/bin/pip install tenseal==0.3.18 numpy
    tenseal/bin/python benches/peers/tenseal_infer.py --model plain --threads 2
    tenseal/bin/python benches/peers/tenseal_infer.py --model encrypted --threads 2 --repeat 3

Convolution 7x7 stride 3 with 4 channels, square, 64 units, square, 10 units; 28x28 pixels; random weights. CKKS with
N = 8192, primes of 31, 26 (six times) and 31 bits, scale 2^26: the tutorial's parameters. A plain model takes the
tutorial's own path (im2col, matrix products). TenSEAL has none for an encrypted one; here it is built from its products
and inner products of ciphertexts: one ciphertext per kernel position, per unit and per weight of the last layer.
Bytes to bytes: the server reads the image, evaluates and writes the answer. One JSON line per part.
"""
import argparse
import json
import logging
import statistics
import time

import numpy as np
import tenseal as ts

DEGREE, PRIMES, SCALE_BITS = 8192, [31, 26, 26, 26, 26, 26, 26, 31], 26
SIDE, KERNEL, STRIDE, CHANNELS, HIDDEN, CLASSES = 28, 7, 3, 4, 64, 10
POSITIONS = ((SIDE - KERNEL) // STRIDE + 1) ** 2


def timed(operation, runs):
    """The last result, and the median and minimum of `runs` calls after one that warms up."""
    result, seconds = operation(), []
    for _ in range(runs):
        started = time.perf_counter()
        result = operation()
        seconds.append(time.perf_counter() - started)
    return result, {"median_s": statistics.median(seconds), "min_s": min(seconds), "repetitions": runs}


class Weights:
    def __init__(self, random):
        def uniform(*shape, fan_in):
            return random.uniform(-1.0, 1.0, shape) / np.sqrt(fan_in)

        self.kernels = uniform(CHANNELS, KERNEL, KERNEL, fan_in=KERNEL**2)
        self.offsets = uniform(CHANNELS, fan_in=KERNEL**2)
        features = CHANNELS * POSITIONS
        self.hidden, self.hidden_bias = uniform(features, HIDDEN, fan_in=features), uniform(HIDDEN, fan_in=features)
        self.last, self.last_bias = uniform(HIDDEN, CLASSES, fan_in=HIDDEN), uniform(CLASSES, fan_in=HIDDEN)

    def forward(self, windows):
        maps = (windows @ self.kernels.reshape(CHANNELS, -1).T + self.offsets).T.ravel() ** 2
        return (maps @ self.hidden + self.hidden_bias) ** 2 @ self.last + self.last_bias


def plain_model(context, server, weights, image):
    lists = [value.tolist() for value in (weights.kernels, weights.offsets, weights.hidden, weights.hidden_bias,
                                          weights.last, weights.last_bias)]
    kernels, offsets, hidden, hidden_bias, last, last_bias = lists

    def encrypt():
        vector, columns = ts.im2col_encoding(context, image.tolist(), KERNEL, KERNEL, STRIDE)
        return vector.serialize(), columns

    def evaluate(query):
        vector = ts.ckks_vector_from(server, query[0])
        maps = [vector.conv2d_im2col(kernel, query[1]) + offset for kernel, offset in zip(kernels, offsets)]
        value = ts.CKKSVector.pack_vectors(maps)
        value.square_()
        value = value.mm(hidden) + hidden_bias
        value.square_()
        return [(value.mm(last) + last_bias).serialize()]

    return encrypt, evaluate, (lambda query: len(query[0])), 0


def encrypted_model(context, server, weights, windows):
    def sent(values):
        data = ts.ckks_vector(context, values).serialize()
        return ts.ckks_vector_from(server, data), len(data)

    sizes = []

    def vector(values):
        ciphertext, size = sent(values)
        sizes.append(size)
        return ciphertext

    kernels = [[vector([tap] * POSITIONS) for tap in kernel.ravel()] for kernel in weights.kernels]
    offsets = [vector([offset] * POSITIONS) for offset in weights.offsets]
    hidden = [(vector(weights.hidden[:, unit].tolist()), vector([weights.hidden_bias[unit]])) for unit in range(HIDDEN)]
    last = [[vector([weights.last[unit, label]]) for unit in range(HIDDEN)] for label in range(CLASSES)]
    last_bias = [vector([bias]) for bias in weights.last_bias]

    def encrypt():
        return [ts.ckks_vector(context, windows[:, tap].tolist()).serialize() for tap in range(KERNEL**2)]

    def inner(left, right):
        total = left[0] * right[0]
        for one, other in zip(left[1:], right[1:]):
            total += one * other
        return total

    def evaluate(query):
        taps = [ts.ckks_vector_from(server, data) for data in query]
        value = ts.CKKSVector.pack_vectors([inner(taps, kernel) + offset for kernel, offset in zip(kernels, offsets)])
        value.square_()
        units = []
        for row, bias in hidden:
            unit = value.dot(row) + bias
            unit.square_()
            units.append(unit)
        return [(inner(units, row) + bias).serialize() for row, bias in zip(last, last_bias)]

    return encrypt, evaluate, (lambda query: sum(map(len, query))), sum(sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["plain", "encrypted"], default="plain")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=11)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    runs = arguments.repeat
    context = ts.context(ts.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=PRIMES, n_threads=arguments.threads)
    context.global_scale = 2.0**SCALE_BITS
    context.generate_galois_keys()
    keys = context.serialize(save_public_key=True, save_secret_key=False, save_galois_keys=True, save_relin_keys=True)
    server = ts.context_from(keys, n_threads=arguments.threads)
    random = np.random.default_rng(3)
    weights, image = Weights(random), random.uniform(0.0, 1.0, (SIDE, SIDE))
    starts = range(0, SIDE - KERNEL + 1, STRIDE)
    windows = np.array([image[y:y + KERNEL, x:x + KERNEL].ravel() for y in starts for x in starts])
    build = plain_model(context, server, weights, image) if arguments.model == "plain" else \
        encrypted_model(context, server, weights, windows)
    encrypt, evaluate, size, model_bytes = build

    def line(op, **fields):
        shape = {"peer": f"tenseal {ts.__version__}", "network": "tutorial", "model": arguments.model, "op": op,
                 "n": DEGREE, "primes": PRIMES, "threads": arguments.threads}
        print(json.dumps({**shape, **fields}), flush=True)

    line("keys", bytes=len(keys))
    if model_bytes:
        line("model", bytes=model_bytes)
    query, encrypting = timed(encrypt, runs)
    line("encrypt", bytes=size(query), **encrypting)
    answer, evaluating = timed(lambda: evaluate(query), runs)
    line("evaluate", bytes=sum(map(len, answer)), **evaluating)
    logits, decrypting = timed(
        lambda: [value for data in answer for value in ts.ckks_vector_from(context, data).decrypt()], runs)
    expected = weights.forward(windows)
    line("decrypt", error_max=float(np.abs(np.array(logits) - expected).max()),
         logit_max=float(np.abs(expected).max()), **decrypting)


if __name__ == "__main__":
    main()
