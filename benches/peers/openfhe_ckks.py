#!/usr/bin/env python3
"""CKKS operations with OpenFHE, for comparison with `consilium bench he`.

    python3.10 -m venv openfhe && openfhe/bin/pip install openfhe==1.6.1.0.22.4
    OMP_NUM_THREADS=1 openfhe/bin/python benches/peers/openfhe_ckks.py --log-n 14 --depth 5 --scale 45 --first 60
    OMP_NUM_THREADS=1 openfhe/bin/python benches/peers/openfhe_ckks.py --log-n 15 --depth 11 --scale 45 --first 60

(The wheel is built for CPython 3.10.) 128-bit classical security enforced, ternary secret, hybrid key switching,
rescaling by hand. One JSON line per operation; a product includes its relinearisation, `multiply` alone does not.
The Python binding adds a few microseconds to each call, and copies the digits at each hoisted rotation.
"""
import argparse
import json
import os
import random
import statistics
import time

import openfhe
from openfhe import (CCParamsCKKSRNS, GenCryptoContext, KeySwitchTechnique, PKESchemeFeature, ScalingTechnique,
                     SecretKeyDist, SecurityLevel)

STEPS = 1


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
    parser.add_argument("--log-n", type=int, default=14)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--scale", type=int, default=45, help="bits of the scale and of every level's prime")
    parser.add_argument("--first", type=int, default=60, help="bits of the last prime that remains")
    parser.add_argument("--digits", type=int, default=0, help="key-switching digits; 0 for OpenFHE's choice")
    parser.add_argument("--repeat", type=int, default=21)
    arguments = parser.parse_args()
    degree = 1 << arguments.log_n

    parameters = CCParamsCKKSRNS()
    parameters.SetSecurityLevel(SecurityLevel.HEStd_128_classic)
    parameters.SetSecretKeyDist(SecretKeyDist.UNIFORM_TERNARY)
    parameters.SetRingDim(degree)
    parameters.SetBatchSize(degree // 2)
    parameters.SetMultiplicativeDepth(arguments.depth)
    parameters.SetScalingModSize(arguments.scale)
    parameters.SetFirstModSize(arguments.first)
    parameters.SetScalingTechnique(ScalingTechnique.FIXEDMANUAL)
    parameters.SetKeySwitchTechnique(KeySwitchTechnique.HYBRID)
    if arguments.digits:
        parameters.SetNumLargeDigits(arguments.digits)
    context = GenCryptoContext(parameters)
    for feature in (PKESchemeFeature.PKE, PKESchemeFeature.KEYSWITCH, PKESchemeFeature.LEVELEDSHE):
        context.Enable(feature)

    keys = context.KeyGen()
    context.EvalMultKeyGen(keys.secretKey)
    context.EvalRotateKeyGen(keys.secretKey, [STEPS])
    source = random.Random(7)
    values = [[source.uniform(-1.0, 1.0) for _ in range(degree // 2)] for _ in range(2)]

    def line(op, operation):
        result, times = timed(operation, arguments.repeat)
        shape = {"peer": f"openfhe {openfhe.__version__}", "op": op, "n": degree,
                 "log_q": arguments.first + arguments.depth * arguments.scale, "scale": arguments.scale,
                 "digits": arguments.digits or "default", "threads": os.environ.get("OMP_NUM_THREADS", "default")}
        print(json.dumps({**shape, **times}), flush=True)
        return result

    plain = line("encode", lambda: context.MakeCKKSPackedPlaintext(values[0]))
    left = line("encrypt", lambda: context.Encrypt(keys.publicKey, plain))
    right = context.Encrypt(keys.publicKey, context.MakeCKKSPackedPlaintext(values[1]))
    line("add", lambda: context.EvalAdd(left, right))
    line("multiply", lambda: context.EvalMultNoRelin(left, right))
    product = line("multiply_relinearise", lambda: context.EvalMult(left, right))
    product = line("rescale", lambda: context.Rescale(product))
    line("rotate", lambda: context.EvalRotate(left, STEPS))
    digits = line("hoist", lambda: context.EvalFastRotationPrecompute(left))
    line("rotate_hoisted", lambda: context.EvalFastRotation(left, STEPS, 2 * degree, digits))
    result = line("decrypt_decode", lambda: context.Decrypt(keys.secretKey, product))
    result.SetLength(degree // 2)
    pairs = zip(result.GetRealPackedValue(), values[0], values[1])
    print(json.dumps({"op": "error_max", "value": max(abs(z - x * y) for z, x, y in pairs)}))


if __name__ == "__main__":
    main()
