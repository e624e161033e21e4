#!/usr/bin/env python3
# What another reader makes of the DICOM files of a folder: imaging/tests/files.rs compares our values with it.
"""One line per file: name, frames, rows, columns, samples, dtype, SHA-256 of stored values, SHA-256 of modality values.

    python3 -m venv /tmp/dicom
    /tmp/dicom/bin/pip install pydicom numpy pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg
    /tmp/dicom/bin/python tools/dicom_digests.py "$CONSILIUM_TEST_DATA/dicom" > imaging/tests/pydicom.txt

Stored values are little-endian i32, frame by frame; colours are red, green and blue, where 16 bits of a palette give
their upper 8. Modality values are those of `apply_modality_lut` as little-endian f32, and `-` for colours. Where a
lossy codec lets decoders differ by rounding, a line `NAME ~ frame:row:column=value,..` follows: values of pixels in a
fixed pattern, to be met within a tolerance that the test states. Then, as `NAME = mean,..`, the mean of each such
frame.
"""

import hashlib
import importlib.metadata
import io
import pathlib
import sys

import numpy
import pydicom
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian

LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.91")
# Pixels of a lossy image that are written down, in each direction of three frames.
STEPS = 8


def read(path):
    """The data set. pydicom takes one without meta information for implicit; the one there is is explicit, and begins
    after the padding of an element that was cut off."""
    data_set = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in data_set.file_meta:
        data = path.read_bytes()
        data = data[data.index(b"\x08\x00\x05\x00CS"):]
        data_set = pydicom.filereader.read_dataset(io.BytesIO(data), is_implicit_VR=False, is_little_endian=True)
        data_set.file_meta = pydicom.dataset.FileMetaDataset()
        data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data_set


def digest(values, kind):
    return hashlib.sha256(numpy.ascontiguousarray(values.astype(kind)).tobytes()).hexdigest()


def line(path):
    data_set = read(path)
    values = data_set.pixel_array
    kind, modality = values.dtype.newbyteorder("="), "-"
    if data_set.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(values, data_set)
        values = colours >> 8 if colours.dtype.itemsize == 2 else colours
    elif data_set.SamplesPerPixel == 1:
        modality = digest(apply_modality_lut(values, data_set), "<f4")
    samples = 1 if modality != "-" else 3
    frames = int(data_set.get("NumberOfFrames", None) or 1)
    rows, columns = data_set.Rows, data_set.Columns
    print(path.name, frames, rows, columns, samples, kind, digest(values, "<i4"), modality)
    if data_set.file_meta.TransferSyntaxUID in LOSSY:
        values = values.reshape(frames, rows, columns, samples)
        chosen = sorted({0, frames // 2, frames - 1})
        places = [(frame, row * rows // STEPS, column * columns // STEPS)
                  for frame in chosen for row in range(STEPS) for column in range(STEPS)]
        written = (f"{f}:{r}:{c}=" + "/".join(str(value) for value in values[f, r, c]) for f, r, c in places)
        print(path.name, "~", ",".join(written))
        print(path.name, "=", ",".join(f"{frame}={values[frame].mean():.4f}" for frame in chosen))


def main():
    names = ["pydicom", "numpy", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg"]
    print("#", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names))
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.dcm")):
        line(path)


if __name__ == "__main__":
    main()
