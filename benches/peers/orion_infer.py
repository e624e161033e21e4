#!/usr/bin/env python3
"""One encrypted image on a small convolutional network with Orion, for comparison with `consilium bench infer`.

    python3 -m venv orion && orion/bin/pip install orion-fhe==1.0.2
    GOMAXPROCS=2 orion/bin/python benches/peers/orion_infer.py --network lola

Networks as `consilium bench infer` names them, random weights. Orion compiles PyTorch modules to Lattigo; the model is
plain, it has no encrypted one. CKKS over the conjugate-invariant ring of degree 2^13 with primes of 29 and 26 bits, the
parameters of its own MNIST example. (Published wheels want CPython 3.9 to 3.12.) One JSON line per part.
"""
import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from importlib.metadata import version

import orion
import orion.nn as on
import torch

SIDE, CLASSES = 28, 10
# kernel, stride, channels, padding, hidden units
NETWORKS = {"tutorial": (7, 3, 4, 0, 64), "lola": (5, 2, 5, 2, 100)}
CKKS = {"LogN": 13, "LogQ": [29, 26, 26, 26, 26, 26], "LogP": [29, 29], "LogScale": 26, "H": 8192,
        "RingType": "ConjugateInvariant"}
COMPILER = {"margin": 2, "embedding_method": "hybrid", "backend": "lattigo", "fuse_modules": True, "debug": False,
            "io_mode": "none"}


class Network(on.Module):
    def __init__(self, name):
        super().__init__()
        kernel, stride, channels, padding, hidden = NETWORKS[name]
        side = (SIDE + 2 * padding - kernel) // stride + 1
        self.convolution = on.Conv2d(1, channels, kernel_size=kernel, stride=stride, padding=padding)
        self.first, self.second, self.flatten = on.Quad(), on.Quad(), on.Flatten()
        self.hidden, self.last = on.Linear(channels * side * side, hidden), on.Linear(hidden, CLASSES)

    def forward(self, image):
        row = self.flatten(self.first(self.convolution(image)))
        return self.last(self.second(self.hidden(row)))


def timed(operation, runs):
    """The last result, and the median and minimum of `runs` calls after one that warms up."""
    result, seconds = operation(), []
    for _ in range(runs):
        started = time.perf_counter()
        result = operation()
        seconds.append(time.perf_counter() - started)
    return result, {"median_s": statistics.median(seconds), "min_s": min(seconds), "repetitions": runs}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(NETWORKS), default="lola")
    parser.add_argument("--repeat", type=int, default=11)
    arguments = parser.parse_args()
    torch.manual_seed(3)
    torch.set_num_threads(int(os.environ.get("GOMAXPROCS", "1")))
    orion.init_scheme({"ckks_params": CKKS, "orion": COMPILER})
    network = Network(arguments.network)
    network.eval()
    image = torch.rand(1, 1, SIDE, SIDE)
    expected = network(image).flatten().detach()
    with contextlib.redirect_stdout(sys.stderr):  # Its progress is for people; the lines here are for programs.
        orion.fit(network, image)
        level = orion.compile(network)
    network.he()

    def line(op, **fields):
        shape = {"peer": f"orion-fhe {version('orion-fhe')}", "network": arguments.network, "model": "plain", "op": op,
                 "ckks": CKKS, "threads": os.environ.get("GOMAXPROCS", "default")}
        print(json.dumps({**shape, **fields}), flush=True)

    query, encrypting = timed(lambda: orion.encrypt(orion.encode(image, level)), arguments.repeat)
    line("encrypt", **encrypting)
    answer, evaluating = timed(lambda: network(query), arguments.repeat)
    line("evaluate", **evaluating)
    logits, decrypting = timed(lambda: answer.decrypt().decode().flatten()[:CLASSES], arguments.repeat)
    line("decrypt", error_max=float((logits - expected).abs().max()), logit_max=float(expected.abs().max()),
         **decrypting)


if __name__ == "__main__":
    main()
