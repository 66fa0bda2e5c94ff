"""Reads YAML documents from standard input, prints them as a JSON list. With VERSION arguments, each document is first
checked against the schema that this version of Kubernetes has for it, strictly."""

import json
import sys

import kubernetes_validate
import yaml

documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
problems = []
for document in documents:
    name = "{} {}".format(document.get("kind"), document.get("metadata", {}).get("name"))
    for version in sys.argv[1:]:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            problems.append("{} ({}): {}: {}".format(name, version, place, error.message))
if problems:
    sys.exit("\n".join(problems))
json.dump(documents, sys.stdout)
