#!/usr/bin/env python3
"""Aggregation of model updates with TenSEAL, as NVIDIA FLARE's homomorphic encryption does it, for comparison with
`consilium bench aggregate`.

    python3 -m venv tenseal && tenseal/bin/pip install tenseal==0.3.18 numpy
    tenseal/bin/python benches/peers/tenseal_aggregate.py --parameters 1663370 --hospitals 10

CKKS with N = 8192, primes of 60, 40 and 40 bits, scale 2^40, one symmetric key that every hospital holds, one thread.
A hospital multiplies its update by its weight and encrypts; the server reads the bytes of all hospitals, adds,
multiplies by one over the summed weight and writes bytes; a hospital decrypts. One JSON line per operation.
"""
import argparse
import contextlib
import json
import os
import statistics
import time

import numpy as np
import tenseal as ts

DEGREE, PRIMES, SCALE_BITS = 8192, [60, 40, 40], 40


@contextlib.contextmanager
def quiet_stdout():
    """TenSEAL warns on standard output for every long vector; the lines here are for programs."""
    saved, sink = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(sink)


def timed(operation, runs):
    """The last result, and the median and minimum of `runs` calls after one that warms up."""
    result, seconds = operation(), []
    for _ in range(runs):
        result = None  # Freed outside the clock.
        started = time.perf_counter()
        result = operation()
        seconds.append(time.perf_counter() - started)
    return result, {"median_s": statistics.median(seconds), "min_s": min(seconds), "repetitions": runs}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=int, default=1_663_370)
    parser.add_argument("--hospitals", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    count, hospitals, runs = arguments.parameters, arguments.hospitals, arguments.repeat

    def line(op, **fields):
        shape = {"peer": f"tenseal {ts.__version__}", "op": op, "n": DEGREE, "primes": PRIMES, "threads": 1,
                 "parameters": count, "hospitals": hospitals}
        print(json.dumps({**shape, **fields}), flush=True)

    context = ts.context(ts.SCHEME_TYPE.CKKS, poly_modulus_degree=DEGREE, coeff_mod_bit_sizes=PRIMES,
                         encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC, n_threads=1)
    context.generate_relin_keys()
    context.global_scale = 2.0**SCALE_BITS
    server = ts.context_from(context.serialize(save_public_key=False, save_secret_key=False, save_galois_keys=False,
                                               save_relin_keys=True), n_threads=1)
    random = np.random.default_rng(7)
    updates = [random.uniform(-0.1, 0.1, count) for _ in range(hospitals)]
    weights = [100.0 + hospital for hospital in range(hospitals)]

    def encrypt(hospital):
        return ts.ckks_vector(context, updates[hospital] * weights[hospital])

    def serve(uploads):
        total = ts.ckks_vector_from(server, uploads[0])
        for upload in uploads[1:]:
            total += ts.ckks_vector_from(server, upload)
        return (total * (1.0 / sum(weights))).serialize()

    def read(answer):
        return ts.ckks_vector_from(context, answer).decrypt()

    with quiet_stdout():
        encrypted, encrypting = timed(lambda: encrypt(0), runs)
        upload, serialising = timed(encrypted.serialize, runs)
        del encrypted
        uploads = [encrypt(hospital).serialize() for hospital in range(hospitals)]
        answer, serving = timed(lambda: serve(uploads), runs)
        mean, decrypting = timed(lambda: read(answer), runs)
    expected = sum(weight * update for weight, update in zip(weights, updates)) / sum(weights)
    line("encrypt", **encrypting)
    line("serialise", bytes=len(upload), bytes_per_parameter=round(len(upload) / count, 3), **serialising)
    line("server", bytes=sum(map(len, uploads)) + len(answer), **serving)
    line("decrypt", bytes=len(answer), bytes_per_parameter=round(len(answer) / count, 3),
         error_max=float(np.abs(np.array(mean) - expected).max()), **decrypting)


if __name__ == "__main__":
    main()
