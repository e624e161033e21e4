#!/usr/bin/env python3
"""Reads a DiagnosticReport and its contained Observations with the models of FHIR R5; fails where one is not accepted."""

import json
import sys

from fhir.resources.diagnosticreport import DiagnosticReport
from fhir.resources.observation import Observation

with open(sys.argv[1], encoding="utf-8") as file:
    found = json.load(file)
DiagnosticReport.model_validate(found)
observations = [part for part in found["contained"] if part["resourceType"] == "Observation"]
for observation in observations:
    Observation.model_validate(observation)
local = {"#" + part["id"] for part in found["contained"]}
for reference in found["result"] + found["performer"]:
    if reference["reference"] not in local:
        sys.exit(f"{reference['reference']} is not contained")
print(f"DiagnosticReport with {len(observations)} observations: accepted")
