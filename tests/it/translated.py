"""Prints template.yaml as the plain CloudFormation that AWS's own translator makes of it."""
import json
import os
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class Policies:
    """The managed policies that the translator may name."""

    def load(self):
        return {}


os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
template = yaml_parse(open("template.yaml").read())
template["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://bucket/key"
json.dump(transform(template, {}, Policies()), sys.stdout)
